"""Insert webhooks, their events and deliveries, inside the writer's transaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from itertools import groupby

import apsw
import orjson

from relay.model import Delivery, Event, PlannedDelivery, RoutedEvent, Webhook
from relay.model.heal import Hook
from relay.store.buried import without_buried
from relay.store.checksum import checksum
from relay.store.claim_tokens import Tokens
from relay.store.likeness import Likeness, likeness_of
from relay.store.records import AuditEntry, KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite import audit, hook_index
from relay.store.sqlite.duplicates import any_repeats, repeated
from relay.store.sqlite.erasure import tombstones
from relay.store.sqlite.ordering import pending_with_key, unblock
from relay.store.sqlite.sql import Row, at_once, rows
from relay.store.times import MILLISECOND, to_ms

RAW = "unparsed"  # the kind of the event row that raw deliveries hang on
REPARSED = "reparsed"  # why raw deliveries are dead whose webhook was read after all
MOST_BYTES = 64 * 1024  # of a body that shares its statements: SQLite copies all that one is given

_WEBHOOKS = (
    "insert into webhooks (id, source, received_at, content_type, request_id, body, unparsed, digest, checksum, query,"
    " signature, dated, traceparent) values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}"
)
_EVENTS = (
    "insert into events (id, webhook, entity, action, entity_id, received_at, payload, checksum, kind,"
    " unrouted) values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}"
)
_DELIVERIES = (
    "insert into deliveries (event, target, routes, state, claimed, attempt, base, replays, pending_since, due_at,"
    " key, claim, held) values {(?, ?, ?, 'pending', ?, ?, 0, ?, ?, ?, ?, ?, ?)}"
)


def keep_all(tokens: Tokens | None, cursor: apsw.Cursor, requests: Sequence[KeepRequest]) -> list[KeepResult]:
    """Insert many webhooks in few statements, as if one by one, where no row depends on another.

    ConstraintError if one of several is stored already: then they must be inserted one by one. Without `tokens`, as
    for a process that does not own the store, no delivery is claimed at insert.
    """
    replies: list[KeepResult] = []
    together = partial(_is_in_time, cursor) if any(each.hooks for each in requests) else _is_independent
    for with_others, group in groupby(requests, key=together):
        asked = [(each, likeness_of(each)) for each in group]
        if with_others and len(asked) > 1 and not any_repeats(cursor, asked):
            replies += _keep_together(tokens, cursor, asked)
        else:
            replies += [_keep(tokens, cursor, *each) for each in asked]
    return replies


def reparse(
    cursor: apsw.Cursor, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook]
) -> bool:
    """See `contract.OperationsStore.reparse`."""
    if not rows(cursor, "select 1 from webhooks where id = ? and unparsed is not null", (webhook.id,)):
        return False
    request = KeepRequest(replace(webhook, unparsed=None), routed, act.at, hooks=hooks)
    request, erased = without_buried(request, tombstones(cursor))
    _keep(None, cursor, request, likeness_of(request))
    if request.webhook.body != webhook.body:
        mark_erased(cursor, request.webhook, erased, to_ms(act.at))
    audit.add(cursor, act, 1)
    return True


def mark_erased(cursor: apsw.Cursor, webhook: Webhook, events: Sequence[str], now: int) -> None:
    """Note that of these events only ids are left, and replace the body of a webhook that was stored before."""
    sql = "update webhooks set body = ?, checksum = ?, query = ? where id = ?"
    cursor.execute(sql, (webhook.body, checksum(webhook.body), webhook.query, webhook.id))
    cursor.executemany("update events set erased_at = ? where id = ?", [(now, each) for each in events])


# ---- together


def _is_independent(request: KeepRequest) -> bool:
    """Whether it is small, and none of its deliveries may have to wait behind another."""
    for each in request.routed:
        for planned in each.planned:
            if planned.key is not None:
                return False
    return len(request.webhook.body) <= MOST_BYTES


def _is_in_time(cursor: apsw.Cursor, request: KeepRequest) -> bool:
    """Whether it is independent, and none of its events was healed before it came."""
    return _is_independent(request) and not hook_index.is_late(cursor, request)


def _keep_together(
    tokens: Tokens | None, cursor: apsw.Cursor, asked: Sequence[tuple[KeepRequest, Likeness]]
) -> list[KeepResult]:
    first = _insert_all(cursor, _WEBHOOKS, [_webhook_row(request.webhook, likeness) for request, likeness in asked])
    routed = [(seq, request, each) for seq, (request, _) in enumerate(asked, first) for each in request.routed]
    first_event = _insert_all(cursor, _EVENTS, [_event_row(seq, each) for seq, _request, each in routed])
    claimed: list[list[Delivery]] = [[] for _ in asked]
    deliveries: list[Row] = []
    for event, (seq, request, each) in enumerate(routed, first_event):
        since = request.now or each.event.received_at
        at = to_ms(since)
        for planned in each.planned:
            token = tokens.new() if tokens and planned.lease is not None else 0
            deliveries.append(_delivery_row(event, planned, at, token, blocked=False))
            if token:
                claimed[seq - first].append(
                    _claimed_at_insert(event, planned, each, since, token, request.webhook.trace)
                )
    at_once(cursor, _DELIVERIES, deliveries)
    hook_index.insert(cursor, [request for request, _likeness in asked if request.hooks])
    return [*claimed]


def _insert_all(cursor: apsw.Cursor, sql: str, given: Sequence[Row]) -> int:
    """Insert rows without a seq; return that of the first: autoincrement counts on from one row to the next."""
    at_once(cursor, sql, given)
    return cursor.connection.last_insert_rowid() - len(given) + 1


# ---- one by one


def _keep(tokens: Tokens | None, cursor: apsw.Cursor, request: KeepRequest, likeness: Likeness) -> KeepResult:
    webhook, now = request.webhook, request.now
    if earlier := repeated(cursor, request, likeness):
        return earlier
    seq = _keep_webhook(cursor, webhook, to_ms(now or webhook.received_at), likeness)
    if seq is None:
        return []
    if request.hooks:
        request = hook_index.insert_in_time(cursor, request)
    return [
        delivery
        for each in request.routed
        for delivery in _keep_event(tokens, cursor, seq, webhook, each, now or each.event.received_at)
    ]


def _keep_webhook(cursor: apsw.Cursor, webhook: Webhook, now: int, likeness: Likeness) -> int | None:
    """Return its seq if its events are to be inserted; None if they are stored."""
    try:
        at_once(cursor, _WEBHOOKS, [_webhook_row(webhook, likeness)])
    except apsw.ConstraintError:
        known = rows(cursor, "select seq, unparsed from webhooks where id = ?", (webhook.id,))
        if not known:
            raise
        return _replace_raw(cursor, known[0][0], now) if webhook.unparsed is None and known[0][1] is not None else None
    return cursor.connection.last_insert_rowid()


def _replace_raw(cursor: apsw.Cursor, seq: int, now: int) -> int:
    """Mark an unparsed webhook as parsed: its raw deliveries are dead with the reason `reparsed`."""
    cursor.execute("update webhooks set unparsed = null where seq = ?", (seq,))
    cursor.execute("delete from dismissed where webhook = ?", (seq,))
    cursor.execute(
        "update deliveries set why = ? where state = 'dead' and event in"
        " (select seq from events where webhook = ? and kind = 'unparsed')",
        (REPARSED, seq),
    )
    pending = rows(
        cursor,
        "select d.event, d.target, d.key is not null from events e join deliveries d on d.event = e.seq"
        " where e.webhook = ? and e.kind = 'unparsed' and d.state = 'pending'",
        (seq,),
    )
    for event, target, has_key in pending:
        cursor.execute(
            "update deliveries set state = 'dead', claimed = 0, due_at = null, settled_at = ?, why = ?"
            " where event = ? and target = ?",
            (now, REPARSED, event, target),
        )
        if has_key:
            unblock(cursor, event, target, now)
    return seq


def _keep_event(
    tokens: Tokens | None, cursor: apsw.Cursor, row: int, webhook: Webhook, routed: RoutedEvent, since: datetime
) -> list[Delivery]:
    at_once(cursor, _EVENTS, [_event_row(row, routed)])
    seq = cursor.connection.last_insert_rowid()
    return [
        _claimed_at_insert(seq, planned, routed, since, token, webhook.trace)
        for planned in routed.planned
        if (token := insert_delivery(tokens, cursor, seq, planned, to_ms(since)))
    ]


def insert_delivery(
    tokens: Tokens | None, cursor: apsw.Cursor, seq: int, planned: PlannedDelivery, now: int, *, replays: int = 0
) -> int:
    """Insert a delivery; the claim token if it is claimed at insert, else 0. Its policy begins at `now`."""
    blocked = planned.key is not None and pending_with_key(cursor, planned.target, planned.key)
    token = tokens.new() if tokens and planned.lease is not None and not blocked else 0
    at_once(cursor, _DELIVERIES, [_delivery_row(seq, planned, now, token, blocked=blocked, replays=replays)])
    return token


# ---- rows


def _webhook_row(webhook: Webhook, likeness: Likeness) -> Row:
    """Without windows nothing is ever a duplicate of it."""
    return (
        webhook.id,
        webhook.source,
        to_ms(webhook.received_at),
        webhook.content_type,
        webhook.request_id,
        webhook.body,
        webhook.unparsed,
        likeness.digest,
        likeness.of_body,
        webhook.query,
        webhook.signature,
        likeness.dated,
        webhook.traceparent or None,
    )


def _event_row(webhook: int, routed: RoutedEvent) -> Row:
    event: Event = routed.event
    return (
        event.id,
        webhook,
        event.entity,
        event.action,
        event.entity_id,
        to_ms(event.received_at),
        routed.payload,
        checksum(routed.payload, event.id.encode()),
        RAW if routed.raw else "event",
        1 if routed.unrouted else None,
    )


def _delivery_row(
    seq: int, planned: PlannedDelivery, since: int, token: int, *, blocked: bool, replays: int = 0
) -> Row:
    """Return the row: claimed with `token`, unclaimed if that is 0."""
    due_at = since + planned.lease // MILLISECOND if token and planned.lease is not None else since
    held = None
    if planned.hold is not None:
        due_at = held = since + planned.hold // MILLISECOND
    return (
        seq,
        planned.target,
        _as_json(planned.routes),
        token > 0,
        token > 0,
        replays,
        since,
        None if blocked else due_at,
        planned.key,
        token,
        held,
    )


@lru_cache(maxsize=1024)
def _as_json(names: tuple[str, ...]) -> str:
    return orjson.dumps(names).decode()


def _claimed_at_insert(
    seq: int, planned: PlannedDelivery, routed: RoutedEvent, since: datetime, token: int, trace: str
) -> Delivery:
    return Delivery(
        row=seq,
        event_id=routed.event.id,
        target=planned.target,
        attempt=1,
        policy_attempt=1,
        received_at=routed.event.received_at,
        pending_since=since,
        payload=routed.payload,
        entity=routed.event.entity,
        entity_id=routed.event.entity_id,
        token=token,
        trace=trace,
    )
