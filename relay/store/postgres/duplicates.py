"""A webhook -> the earlier one that it repeats, if any; see `contract.IngestStore.keep`, and `store.likeness`.

Only webhooks of which an equal one is stored come here, which is rare. The caller holds the locks of the entities
that the webhook is about: what was stored between the two is committed.
"""

from datetime import timedelta

from relay.model import Event, Webhook
from relay.store.likeness import moment, moment_in
from relay.store.postgres.connection import Statement, Transaction
from relay.store.postgres.ingest_rows import Asked
from relay.store.postgres.text import clean
from relay.store.records import Duplicate
from relay.store.times import to_ms

# `+ 0`: by no other index than that of digests, or of entities; they find few rows however many there are
# one that is asked for again has a seq: then only what was kept before it counts
_LAST_EQUAL = """
select w.id, (select count(*) from events where webhook = w.seq and kind = 'event'), w.received_at, w.seq,
  (select coalesce(min(seq), 0) from events where webhook = w.seq)
from webhooks w
where w.dated = any(array[%(dated)s, '']) and w.digest = %(digest)s and w.source = %(source)s
  and w.received_at + 0 between %(earliest)s and %(latest)s and w.id <> %(id)s
  and w.seq < coalesce((select seq from webhooks where id = %(id)s), w.seq + 1)
order by w.seq + 0 desc limit 1
"""
# of an entity with a long history only what came after the webhook is read
_SINCE = """
select e.payload from events e join webhooks w on w.seq = e.webhook
where left(e.entity_id, 64) = left(%(entity_id)s, 64) and e.seq > %(since)s and e.entity_id = %(entity_id)s
  and e.webhook + 0 > %(webhook)s and e.entity = %(entity)s and w.source = %(source)s and w.body <> %(body)s
"""


async def repeated(transaction: Transaction, asked: Asked) -> Duplicate | None:
    """Return the last webhook that it equals, unless something else happened since."""
    webhook, routed, _now, windows, _hooks = asked.request
    longest = windows.longest
    if longest is None:
        return None
    found = await transaction.rows(*last_equal(asked, longest))
    if not found:
        return None
    id_, events, received_at, seq, first_event = found[0]
    apart = timedelta(milliseconds=abs(to_ms(webhook.received_at) - received_at))
    if windows.window is None or apart > windows.window:
        for each in routed:
            if await _overtaken(transaction, asked, each.event, seq, first_event):
                return None
    return Duplicate(webhook=id_, events=events)


async def _overtaken(transaction: Transaction, asked: Asked, event: Event, seq: int, first_event: int) -> bool:
    """Return whether a different body from the same source, stored after `seq`, is about the entity in the same second.

    `first_event` is that of the webhook `seq`.
    """
    if not event.entity_id:
        return False
    since = await transaction.rows(*about_since(asked.request.webhook, event, seq, first_event))
    return any(moment_in(payload) == moment(event) for (payload,) in since)


def last_equal(asked: Asked, longest: timedelta) -> Statement:
    """Return the statement that finds the last equal webhook within `longest` of it."""
    webhook = asked.request.webhook
    return _LAST_EQUAL, {
        "dated": asked.dated,
        "digest": asked.likeness.digest,
        "source": webhook.source,
        "earliest": to_ms(webhook.received_at - longest),
        "latest": to_ms(webhook.received_at + longest),
        "id": webhook.id,
    }


def about_since(webhook: Webhook, event: Event, seq: int, first_event: int) -> Statement:
    """Return the statement that finds events about the entity of `event`, of different bodies stored since."""
    return _SINCE, {
        "entity_id": clean(event.entity_id),
        "since": first_event,
        "webhook": seq,
        "entity": clean(event.entity),
        "source": webhook.source,
        "body": webhook.body,
    }
