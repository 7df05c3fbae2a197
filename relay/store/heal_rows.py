"""Records of healing and hooks <-> rows. The order of the columns is that of the assignments here."""

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from relay.model import Json
from relay.model.heal import Exactness, HealCount, HealRecord, HealRequest, HealState, Hook, StoredHook
from relay.store.times import from_ms, to_ms

Row: TypeAlias = tuple[Any, ...]

RECORD = (
    "source, channel, event_id, type, action, entity, entity_id, key, at, found_at, state, before, after, webhook,"
    " item, reason, exactness, approved"
)
HOOK = "webhook, item, channel, key, source, received_at, at, arrived, since, until, matched"
REQUEST = "id, source, since, dry_run, asked_at, answer"

IS_LATE = (
    "exists (select 1 from webhooks w join heal_events h on h.webhook = w.id"
    " where w.seq = e.webhook and h.state = 'late_hook' and h.item ="
    " (select count(*) from events o where o.webhook = e.webhook and o.kind = 'event' and o.seq < e.seq))"
)
"""SQL: whether an event `e` was healed before its webhook came, and sent."""

UNROUTED = f"e.erased_at is null and not exists (select 1 from deliveries d where d.event = e.seq) and not {IS_LATE}"
"""SQL: whether no route took an event `e`; one that came late was routed when it was healed."""

COUNTS = """
select source, action, state, exactness, reason, count(*), max(at) from heal_events
group by source, action, state, exactness, reason order by source, action, state, exactness, reason
"""
LAST_LOSS = "select max(noticed_at) from losses"
ANYTHING = (
    "select 1 from heal_events union all select 1 from hook_index union all select 1 from run_marks"
    " union all select 1 from heal_requests limit 1"
)
"""SQL that returns a row if healing was ever used."""

ERASE_RECORDS = """
update heal_events set before = null, after = null,
  state = case when state in ('seen', 'waiting', 'would_heal', 'unhealable') then 'unhealable' else state end,
  reason = case when state in ('seen', 'waiting', 'would_heal', 'unhealable') then 'erased' else reason end
where entity = :entity and entity_id = :id and at <= :at and (:source = '' or source = :source)
"""
"""SQL: what changed of an entity up to a time is not known any more, and is not healed."""

KEPT_WHILE = (HealState.SEEN, HealState.WAITING)
"""The states in which a record keeps what changed: `before` and `after`."""


def record_row(record: HealRecord) -> Row:
    """Return the columns of `RECORD`; nothing of what changed is kept once it is decided."""
    shown = record.state in KEPT_WHILE
    return (
        record.source,
        record.channel,
        record.event_id,
        record.type,
        record.action,
        record.entity,
        record.entity_id,
        record.key,
        to_ms(record.at),
        to_ms(record.found_at),
        record.state.value,
        as_json(record.before) if shown else None,
        as_json(record.after) if shown else None,
        record.webhook,
        record.item,
        record.reason,
        record.exactness and record.exactness.value,
        record.approved,
    )


def record_of(row: Row) -> HealRecord:
    """Return the record."""
    source, channel, event_id, type_, action, entity, entity_id, key, at, found_at, state, before, after = row[:13]
    webhook, item, reason, exactness, approved = row[13:]
    return HealRecord(
        source=source,
        channel=channel,
        event_id=event_id,
        type=type_,
        action=action,
        entity=entity,
        entity_id=entity_id,
        key=key,
        at=from_ms(at),
        found_at=from_ms(found_at),
        state=HealState(state),
        before=of_json(before),
        after=of_json(after),
        webhook=webhook,
        item=item,
        reason=reason,
        exactness=None if exactness is None else Exactness(exactness),
        approved=bool(approved),
    )


def hook_row(hook: Hook, webhook: str, source: str, received_at: int, matched: str | None) -> Row:
    """Return the columns of `HOOK`; `received_at` is the webhook's, in milliseconds."""
    return (
        webhook,
        hook.item,
        hook.channel,
        hook.key,
        source,
        received_at,
        None if hook.at is None else to_ms(hook.at),
        None if hook.arrived is None else to_ms(hook.arrived),
        to_ms(hook.since),
        to_ms(hook.until),
        matched,
    )


def hook_of(row: Row) -> StoredHook:
    """Return the hook."""
    webhook, item, channel, key, _source, _received_at, at, arrived, since, until, matched = row
    hook = Hook(
        item=item,
        channel=channel,
        key=key,
        at=None if at is None else from_ms(at),
        arrived=None if arrived is None else from_ms(arrived),
        since=from_ms(since),
        until=from_ms(until),
    )
    return StoredHook(hook, webhook, matched)


def count_of(row: Row) -> HealCount:
    """Return the count: source, action, state, exactness, reason, how many, the newest."""
    source, action, state, exactness, reason, number, newest_at = row
    return HealCount(
        source, action, HealState(state), exactness and Exactness(exactness), reason, number, from_ms(newest_at)
    )


def request_row(request: HealRequest) -> Row:
    """Return the columns of `REQUEST`."""
    return (
        request.id,
        request.source,
        to_ms(request.since),
        request.dry_run,
        to_ms(request.asked_at),
        as_json(request.answer),
    )


def request_of(row: Row) -> HealRequest:
    """Return the request."""
    id_, source, since, dry_run, asked_at, answer = row
    return HealRequest(
        id=id_,
        source=source,
        since=from_ms(since),
        dry_run=bool(dry_run),
        asked_at=from_ms(asked_at),
        answer=of_json(answer),
    )


def as_json(value: Json) -> str | None:
    """`[{"lead_status": …}]` as ASCII, for a feed may bring lone surrogates; None stays None."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def of_json(text: str | None) -> Json:
    """Read what `as_json` made."""
    return None if text is None else json.loads(text)


def columns(rows: Sequence[Row], number: int) -> list[list[Any]]:
    """Turn rows into columns."""
    return [[row[column] for row in rows] for column in range(number)]
