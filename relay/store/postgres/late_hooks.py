"""A webhook with hooks -> the rows of their index, and the webhook as it is to be kept if something of it is late."""

from relay.model.heal import Hook
from relay.store.postgres.connection import Transaction
from relay.store.postgres.ingest_rows import Asked, asked_of, hook_values
from relay.store.postgres.ingest_sql import INDEX_HOOKS
from relay.store.postgres.text import clean
from relay.store.times import to_ms

_END = """
update heal_events e set state = 'late_hook', webhook = %(webhook)s, item = %(item)s
where e.source = %(source)s and e.channel = %(channel)s and e.event_id = (
  select event_id from heal_events
  where source = %(source)s and channel = %(channel)s and key = %(key)s and at between %(since)s and %(until)s
    and state = 'healed'
  order by at, event_id limit 1)
returning e.event_id
"""
"""Spend a hook on the oldest event that was healed and that it tells of."""


async def index(transaction: Transaction, asked: Asked) -> Asked:
    """Index the hooks of a webhook; return it as it is to be kept, with fewer deliveries if it is late.

    A late one ends what `contract.HealStore.record_heal` began: its event was sent, and is not sent again but to
    targets that took no healed one. The caller holds the locks of the hooks.
    """
    request = asked.request
    matched: dict[int, str] = {}
    for position, hook in enumerate(request.hooks):
        values = _values(hook, request.webhook.source) | {"webhook": request.webhook.id}
        for (event,) in await transaction.rows(_END, values):
            matched[position] = event
    await transaction.rows(INDEX_HOOKS, hook_values([asked], matched))
    if not matched:
        return asked
    kept = request.without_late({request.hooks[position].item for position in matched})
    return asked_of(kept, iter(asked.claims) if asked.claims else None)


def _values(hook: Hook, source: str) -> dict[str, object]:
    return {
        "source": source,
        "item": hook.item,
        "channel": clean(hook.channel),
        "key": clean(hook.key),
        "since": to_ms(hook.since),
        "until": to_ms(hook.until),
    }
