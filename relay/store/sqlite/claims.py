"""Claim due deliveries; settle and release claimed ones."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import apsw

from relay.model import Delivery, RetryAt
from relay.model.erasure import ERASED
from relay.model.trace import webhook_trace
from relay.model.webhooks import HEAL
from relay.store.checksum import is_corrupt
from relay.store.claim_tokens import Tokens
from relay.store.records import Due
from relay.store.requests import Settlement
from relay.store.rows import next_state
from relay.store.sqlite import target_conditions
from relay.store.sqlite.claim_tokens import held
from relay.store.sqlite.ordering import unblock
from relay.store.sqlite.sql import Row, a_blob, a_number, at_once, change, rows
from relay.store.times import LAST, from_ms, to_ms

_MICROSECOND = timedelta(microseconds=1)
_HEAL = HEAL.encode()


def claim(
    cursor: apsw.Cursor, tokens: Tokens, target: str, limit: int, max_bytes: int, now: int, until: int
) -> list[Delivery]:
    """Claim the longest due of `target` until `until`; see `contract.DeliveryStore.claim`."""
    claimed: list[Delivery] = []
    rows_read: list[Row] = []
    size = 0
    for row in cursor.execute(_DUE, {"target": target, "now": now, "limit": limit}):
        token = tokens.new()
        rows_read.append((row[0], target, until, token))
        try:
            delivery = _claimed(target, token, *row)
        except (ValueError, TypeError):
            continue  # a row that the disk has changed must not hold up the rest; `relay verify` finds it
        claimed.append(delivery)
        size += len(delivery.payload)
        if size >= max_bytes:
            break
    change(cursor, _CLAIM, rows_read)
    return claimed


_PENDING = (
    "deliveries i cross join deliveries d on d.event = i.event and d.target = i.target"
    " where i.state = 'pending' and d.state = 'pending'"
)
"""The index entry `i` and its row `d`, which may differ if either is corrupt.

Needed by `test_corrupt.test_a_row_that_no_index_knows_any_more…`, and by the lane tests of `test_flips`.
"""

_WAITING = (
    "select * from (select d.event, d.attempt, d.base, d.replays, d.pending_since, i.due_at"
    f" from {_PENDING} and i.claimed = {{claimed}} and i.target = :target and i.due_at <= :now"
    " order by i.due_at limit :limit)"
)
_DUE = (
    f"select d.event, {a_number('d.attempt')}, {a_number('d.base')}, {a_number('d.replays')},"
    f" {a_number('d.pending_since')}, coalesce(cast(e.id as blob), x''), {a_number('e.received_at')},"
    f" {a_blob('e.payload')}, cast(e.checksum as blob),"
    " cast(e.entity as blob), cast(e.entity_id as blob), cast(w.id as blob), cast(w.traceparent as blob),"
    " cast(w.kind as blob) from"
    # `a_number`, `a_blob`, casts: corrupt text ends the whole read (test_corrupt: ..._holds_up_no_other; test_checksum)
    # left join: a delivery without its event is claimed as corrupt (test_corrupt: ..._whose_event_is_gone_...)
    # two ranges of one index: those that wait, and those whose lease ran out
    f" ({_WAITING.format(claimed=0)} union all {_WAITING.format(claimed=1)} order by due_at, event limit :limit) d"
    " left join events e on e.seq = d.event left join webhooks w on w.seq = e.webhook order by d.due_at, d.event"
)
# coalesce: needed by test_corrupt.test_an_attempt_that_is_null_holds_up_no_other
_CLAIM = (
    "with claimed (event, target, until, token) as (values {(?, ?, ?, ?)})"
    " update deliveries set claimed = 1, attempt = coalesce(attempt, 0) + 1, due_at = claimed.until,"
    " claim = claimed.token from claimed"
    " where deliveries.event = claimed.event and deliveries.target = claimed.target"
)


def _claimed(
    target: str,
    token: int,
    seq: int,
    attempt: int,
    base: int,
    replays: int,
    pending_since: int,
    event_id: bytes,
    received_at: int,
    payload: object,
    checksum: bytes | None,
    entity: bytes | None,
    entity_id: bytes | None,
    webhook: bytes | None,
    traceparent: bytes | None,
    kind: bytes | None,
) -> Delivery:
    """Make the delivery of a row, with the next attempt number; TypeError or ValueError for a corrupt row."""
    return Delivery(
        row=seq,
        event_id=event_id.decode(errors="replace"),
        target=target,
        attempt=attempt + 1,
        policy_attempt=attempt + 1 - base,
        received_at=from_ms(received_at),
        pending_since=from_ms(pending_since),
        payload=payload if isinstance(payload, bytes) else b"",
        replay=replays > 0,
        corrupt=not event_id or is_corrupt(payload, checksum, event_id),
        entity=(entity or b"").decode(errors="replace"),
        entity_id=(entity_id or b"").decode(errors="replace"),
        token=token,
        trace=_trace(webhook, traceparent),
        healed=kind == _HEAL,
    )


def _trace(webhook: bytes | None, traceparent: bytes | None) -> str:
    if not webhook:
        return ""
    return webhook_trace(webhook.decode(errors="replace"), traceparent.decode(errors="replace") if traceparent else "")


def settle_all(cursor: apsw.Cursor, settled: Sequence[Settlement]) -> list[bool]:
    """Settle each; False where the claim token is not the present one: only the attempt is recorded, if it can be."""
    ours = held(cursor, settled)
    change(cursor, _SETTLE, [_settled_row(settled[position]) for position in ours])
    known = settled if len(ours) == len(settled) else _known(cursor, settled, ours)
    at_once(cursor, _RECORD, [_attempt_row(each) for each in known])
    for position, has_key in ours.items():
        each = settled[position]
        if has_key and not isinstance(each.verdict, RetryAt):
            unblock(cursor, each.delivery.row, each.delivery.target, to_ms(each.now))
    return [position in ours for position in range(len(settled))]


_SETTLE = (
    "with settled (event, target, state, due_at, why, settled_at, overlooked) as (values {(?, ?, ?, ?, ?, ?, ?)})"
    " update deliveries set state = settled.state, claimed = 0, due_at = settled.due_at, why = settled.why,"
    " settled_at = settled.settled_at, base = base + settled.overlooked from settled"
    " where deliveries.event = settled.event and deliveries.target = settled.target"
)
_RECORD = (
    "insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail, late)"
    " values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)} on conflict do nothing"
)


def _known(cursor: apsw.Cursor, settled: Sequence[Settlement], ours: Collection[int]) -> Sequence[Settlement]:
    """Leave out those whose delivery was purged after its claim was lost: an attempt refers to its delivery.

    And what a request told that carried an event which was erased meanwhile: it may be about a person.
    """
    sql = "select why from deliveries where event = ? and target = ?"
    lost = [each for position, each in enumerate(settled) if position not in ours]
    whys = [rows(cursor, sql, (each.delivery.row, each.delivery.target)) for each in lost]
    purged = {id(each) for each, why in zip(lost, whys, strict=True) if not why}
    erased = {_request(each) for each, why in zip(lost, whys, strict=True) if why == [(ERASED,)]}
    return [
        each._replace(outcome=replace(each.outcome, detail="")) if _request(each) in erased else each
        for each in settled
        if id(each) not in purged
    ]


def _request(settled: Settlement) -> tuple[str, datetime]:
    """The deliveries of one request have these in common."""
    return settled.delivery.target, settled.outcome.started_at


def _settled_row(settled: Settlement) -> Row:
    delivery, verdict = settled.delivery, settled.verdict
    state, due_at, why = next_state(verdict)
    overlooked = isinstance(verdict, RetryAt) and not verdict.counted
    return (
        delivery.row,
        delivery.target,
        state,
        due_at,
        why,
        None if due_at is not None else to_ms(settled.now),
        overlooked,
    )


def _attempt_row(settled: Settlement) -> Row:
    delivery, outcome = settled.delivery, settled.outcome
    return (
        delivery.row,
        delivery.target,
        delivery.attempt,
        to_ms(outcome.started_at),
        outcome.took // _MICROSECOND,
        settled.verdict.name,
        outcome.reason,
        outcome.status,
        outcome.detail,
        int(settled.late),
    )


def release(cursor: apsw.Cursor, keys: Sequence[tuple[int, int, str, int]]) -> int:
    """Release each of `keys`, (due_at, event, target, token); return how many."""
    before = cursor.connection.total_changes()
    cursor.executemany(
        "update deliveries set claimed = 0, due_at = ?, attempt = attempt - 1"
        " where event = ? and target = ? and claim = ? and state = 'pending' and claimed = 1",
        keys,
    )
    return cursor.connection.total_changes() - before


def clock_set(cursor: apsw.Cursor, by: int, now: int) -> None:
    """Move leases with a clock that was set forward, due times with one that was set back."""
    if by > 0:
        cursor.execute("update deliveries set due_at = due_at + ? where state = 'pending' and claimed = 1", (by,))
    else:
        cursor.execute(
            "update deliveries set pending_since = iif(pending_since > :now, pending_since + :by, pending_since),"
            " due_at = iif(claimed = 0 and due_at > :now, due_at + :by, due_at),"
            " held = iif(held > :now, held + :by, held)"
            " where state = 'pending' and (pending_since > :now or due_at > :now)",
            {"by": by, "now": now},
        )


def due(cursor: apsw.Cursor, names: Sequence[str]) -> Due:
    """Look into the index once for each target; nothing here grows with the backlog."""
    sql = (
        f"select i.due_at from {_PENDING} and i.claimed = 0 and i.target = ? and i.due_at <= {LAST}"
        " order by i.due_at limit 1"
    )
    found = ((target, rows(cursor, sql, (target,))) for target in names)
    return Due(
        at={target: from_ms(due[0][0]) for target, due in found if due},
        paused=frozenset(target for (target,) in rows(cursor, "select target from pauses")),
        probes=target_conditions.probe_requests(cursor),
    )
