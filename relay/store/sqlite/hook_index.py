"""Hooks of webhooks -> rows of the index; and which of them tell of events that were healed before they came."""

from collections.abc import Sequence

import apsw

from relay.model.heal import Hook
from relay.store.heal_rows import HOOK, hook_row
from relay.store.requests import KeepRequest
from relay.store.sqlite.sql import at_once, rows
from relay.store.times import to_ms

_INSERT = (
    f"insert into hook_index ({HOOK}) values {{(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}}"
    " on conflict (webhook, item, channel, key) do nothing"
)
_HEALED = (
    "select event_id from heal_events where source = ? and channel = ? and key = ? and at between ? and ?"
    " and state = 'healed' order by at, event_id limit 1"
)
_LATE = (
    "update heal_events set state = 'late_hook', webhook = ?, item = ?"
    " where source = ? and channel = ? and event_id = ?"
)


def is_late(cursor: apsw.Cursor, request: KeepRequest) -> bool:
    """Whether a hook of the webhook tells of an event that was healed, and of which no hook has come yet."""
    return any(_healed(cursor, request.webhook.source, hook) is not None for hook in request.hooks)


def insert(
    cursor: apsw.Cursor, requests: Sequence[KeepRequest], *, matched: Sequence[str | None] | None = None
) -> None:
    """Index the hooks of webhooks; `matched`: the events that they are spent on, in the order of the hooks."""
    given = [(each.webhook, hook) for each in requests for hook in each.hooks]
    events = matched or [None] * len(given)
    made = [
        hook_row(hook, webhook.id, webhook.source, to_ms(webhook.received_at), event)
        for (webhook, hook), event in zip(given, events, strict=True)
    ]
    at_once(cursor, _INSERT, made)


def insert_in_time(cursor: apsw.Cursor, request: KeepRequest) -> KeepRequest:
    """Index the hooks of a webhook; return it as it is to be kept, with fewer deliveries if it is late.

    A late one ends what `contract.HealStore.record_heal` began: its event was sent, and is not sent again but to
    targets that took no healed one.
    """
    source, webhook = request.webhook.source, request.webhook.id
    matched: list[str | None] = []
    for hook in request.hooks:
        event = _healed(cursor, source, hook)
        matched.append(event)
        if event is not None:
            cursor.execute(_LATE, (webhook, hook.item, source, hook.channel, event))
    insert(cursor, [request], matched=matched)
    return request.without_late({hook.item for hook, event in zip(request.hooks, matched, strict=True) if event})


def _healed(cursor: apsw.Cursor, source: str, hook: Hook) -> str | None:
    """Return the id of the oldest event that was healed and that this hook tells of."""
    span = (to_ms(hook.since), to_ms(hook.until))
    found = rows(cursor, _HEALED, (source, hook.channel, hook.key, *span))
    return found[0][0] if found else None
