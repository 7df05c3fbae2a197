"""A webhook -> the earlier one that it repeats, if any; see `contract.IngestStore.keep`.

Equal bytes are not always a retransmission. Times in bodies are whole seconds: a lead that moves from A to B, back
and to B again within one second brings A, B and A, three webhooks. Only a webhook stored between two equal ones tells
them apart: another body about the same entity, of the same second. It is looked up once an equal webhook is found,
which is rare.
"""

from collections.abc import Sequence
from datetime import timedelta

import apsw

from relay.model import Event, Webhook
from relay.store.likeness import Likeness, moment, moment_in
from relay.store.records import Duplicate
from relay.store.requests import KeepRequest
from relay.store.sqlite.entity_index import ABOUT_SINCE
from relay.store.sqlite.sql import at_once, rows
from relay.store.times import MILLISECOND, to_ms


def any_repeats(cursor: apsw.Cursor, asked: Sequence[tuple[KeepRequest, Likeness]]) -> bool:
    """Return whether any of them equals a webhook within its windows, or another one of them."""
    windowed = [
        (
            webhook.source,
            likeness.dated,
            likeness.digest,
            (at := to_ms(webhook.received_at)) - (span := longest // MILLISECOND),
            at + span,
            webhook.id,
        )
        for (webhook, _routed, _now, windows, _hooks), likeness in asked
        if (longest := windows.longest) is not None
    ]
    if not windowed:
        return False
    if len({(source, of_both) for source, _dated, of_both, *_ in windowed}) < len(windowed):
        return True
    return any(found for (found,) in at_once(cursor, _EQUAL, windowed))


def repeated(cursor: apsw.Cursor, request: KeepRequest, likeness: Likeness) -> Duplicate | None:
    """Return the last webhook that it equals, unless something else happened since."""
    webhook, routed, _now, windows, _hooks = request
    longest = windows.longest
    if longest is None:
        return None
    found = rows(
        cursor,
        _LAST_EQUAL,
        {
            "source": webhook.source,
            "dated": likeness.dated,
            "digest": likeness.digest,
            "earliest": to_ms(webhook.received_at - longest),
            "latest": to_ms(webhook.received_at + longest),
            "id": webhook.id,
        },
    )
    if not found:
        return None
    id_, events, received_at, seq, first_event = found[0]
    apart = timedelta(milliseconds=abs(to_ms(webhook.received_at) - received_at))
    if windows.window is not None and apart <= windows.window:
        return Duplicate(webhook=id_, events=events)
    if any(_overtaken(cursor, webhook, each.event, seq, first_event) for each in routed):
        return None
    return Duplicate(webhook=id_, events=events)


def _overtaken(cursor: apsw.Cursor, webhook: Webhook, event: Event, seq: int, first_event: int) -> bool:
    """Return whether a different body from the same source, stored after `seq`, is about the entity in the same second.

    `first_event` is that of the webhook `seq`: of an entity with a long history only what came later is read.
    """
    if not event.entity_id:
        return False
    since = rows(
        cursor,
        _SINCE,
        {
            "entity_id": event.entity_id,
            "since": first_event,
            "webhook": seq,
            "entity": event.entity,
            "source": webhook.source,
            "body": webhook.body,
        },
    )
    return any(moment_in(payload) == moment(event) for (payload,) in since)


# none is stored of what was unparsed, or kept by an earlier relay; cross joins, or SQLite reads all that it stored
_EQUAL = (
    "with asked (source, dated, digest, earliest, latest, id) as (values {(?, ?, ?, ?, ?, ?)})"
    " select exists (select 1 from asked cross join webhooks w using (source, dated, digest)"
    " where w.received_at between earliest and latest and w.id <> asked.id)"
    " or exists (select 1 from asked cross join webhooks w using (source, digest)"
    " where w.dated is null and w.received_at between earliest and latest and w.id <> asked.id)"
)
_ALIKE = (
    "select seq from webhooks where source = :source and dated {} and digest = :digest"
    " and received_at between :earliest and :latest"
)
# one that is asked for again has a seq: then only what was kept before it counts
_LAST_EQUAL = (
    "select id, (select count(*) from events where webhook = w.seq and kind = 'event'), received_at, seq,"
    " (select coalesce(min(seq), 0) from events where webhook = w.seq) from webhooks w"
    f" where seq in ({_ALIKE.format('= :dated')} union all {_ALIKE.format('is null')}) and id <> :id"
    " and seq < coalesce((select seq from webhooks where id = :id), w.seq + 1) order by seq desc limit 1"
)
_SINCE = (
    f"select e.payload from events e join webhooks w on w.seq = e.webhook where {ABOUT_SINCE}"
    " and e.webhook > :webhook and e.entity = :entity and w.source = :source and w.body <> :body"
)
