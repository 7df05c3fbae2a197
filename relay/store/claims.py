"""What is due -> claimed deliveries; what an attempt returned -> how the delivery stands."""

from collections.abc import Sequence
from datetime import timedelta

import apsw

from relay.model import Dead, Delivered, Delivery, Outcome, RetryAt, State, Verdict
from relay.store.checksum import is_damaged
from relay.store.contract import Due
from relay.store.query import rows
from relay.store.times import from_ms, to_ms

_NAMES = {Delivered: "delivered", RetryAt: "retry", Dead: "dead"}


def claim(cursor: apsw.Cursor, target: str, limit: int, max_bytes: int, now: int, until: int) -> list[Delivery]:
    """The longest due of `target`, leased until `until`; see `contract.Store.claim`."""
    waiting = (
        "select event, target, due_at from deliveries where state = 'pending' and claimed = {claimed}"
        " and target = :target and due_at <= :now order by due_at limit :limit"
    )
    found = rows(
        cursor,
        # two ranges of one index: those that wait, and those whose lease ran out
        f"select * from ({waiting.format(claimed=0)}) union all select * from ({waiting.format(claimed=1)})"
        " order by due_at, event limit :limit",
        {"target": target, "now": now, "limit": limit},
    )
    claimed: list[Delivery] = []
    size = 0
    for seq, _target, _due_at in found:
        try:
            delivery = _claimed(cursor, seq, target, until)
        except (LookupError, ValueError, TypeError):
            continue  # a row that the disk has changed must not stop the rest; `relay verify` finds it
        claimed.append(delivery)
        size += len(delivery.payload)
        if size >= max_bytes:
            break
    return claimed


def _claimed(cursor: apsw.Cursor, seq: int, target: str, until: int) -> Delivery:
    attempt, base, replays, pending_since = rows(
        cursor,
        "update deliveries set claimed = 1, attempt = attempt + 1, due_at = ? where event = ? and target = ?"
        " returning attempt, base, replays, pending_since",
        (until, seq, target),
    )[0]
    event_id, received_at, payload, checksum = rows(
        cursor,
        "select coalesce(cast(id as blob), x''), received_at, payload, checksum from events where seq = ?",
        (seq,),
    )[0]
    return Delivery(
        seq=seq,
        event_id=event_id.decode(errors="replace"),
        target=target,
        attempt=attempt,
        policy_attempt=attempt - base,
        received_at=from_ms(received_at),
        pending_since=from_ms(pending_since),
        payload=payload if isinstance(payload, bytes) else b"",
        replay=replays > 0,
        damaged=not event_id or is_damaged(payload, checksum, event_id),
    )


def settle(cursor: apsw.Cursor, delivery: Delivery, outcome: Outcome, verdict: Verdict, now: int) -> bool:
    """False if the attempt number is not the present one; the attempt itself is recorded all the same."""
    state, due_at, why = _stands(verdict)
    settled_at = None if due_at is not None else now
    overlooked = isinstance(verdict, RetryAt) and not verdict.counted
    ours = rows(
        cursor,
        "update deliveries set state = ?, claimed = 0, due_at = ?, why = ?, settled_at = ?, base = base + ?"
        " where event = ? and target = ? and attempt = ? and state = 'pending' and claimed = 1 returning key",
        (state, due_at, why, settled_at, overlooked, delivery.seq, delivery.target, delivery.attempt),
    )
    cursor.execute(
        "insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            delivery.seq,
            delivery.target,
            delivery.attempt,
            to_ms(outcome.started_at),
            outcome.took // timedelta(microseconds=1),
            _NAMES[type(verdict)],
            outcome.reason,
            outcome.status,
            outcome.detail,
        ),
    )
    if ours and ours[0][0] is not None and state != State.PENDING:
        _unblock(cursor, delivery.target, ours[0][0], now)
    return bool(ours)


def _stands(verdict: Verdict) -> tuple[State, int | None, str]:
    """State, due time, and why it is dead."""
    match verdict:
        case Delivered():
            return State.DELIVERED, None, ""
        case RetryAt(due_at):
            return State.PENDING, to_ms(due_at), ""
        case Dead(why):
            return State.DEAD, None, why


def _unblock(cursor: apsw.Cursor, target: str, key: str, now: int) -> None:
    """The oldest pending delivery of this key is due, unless it has a due time already, or a replay set a later one."""
    cursor.execute(
        "update deliveries set due_at = max(:now, pending_since) where target = :target and due_at is null and event ="
        " (select min(event) from deliveries where target = :target and key = :key and state = 'pending')",
        {"now": now, "target": target, "key": key},
    )


def release(cursor: apsw.Cursor, keys: Sequence[tuple[int, int, str, int]]) -> None:
    """Each of `keys` is (due_at, event, target, attempt)."""
    cursor.executemany(
        "update deliveries set claimed = 0, due_at = ?, attempt = attempt - 1"
        " where event = ? and target = ? and attempt = ? and state = 'pending' and claimed = 1",
        keys,
    )


def clock_set(cursor: apsw.Cursor, by: int, now: int) -> None:
    """Leases move with a clock that was set forward, what waits with one that was set back; see `contract.Store`."""
    if by > 0:
        cursor.execute("update deliveries set due_at = due_at + ? where state = 'pending' and claimed = 1", (by,))
    else:
        cursor.execute(
            "update deliveries set pending_since = iif(pending_since > :now, pending_since + :by, pending_since),"
            " due_at = iif(claimed = 0 and due_at > :now, due_at + :by, due_at)"
            " where state = 'pending' and (pending_since > :now or due_at > :now)",
            {"by": by, "now": now},
        )


def due(cursor: apsw.Cursor, targets: Sequence[str]) -> Due:
    """One look at the index for each target; nothing here grows with the backlog."""
    sql = (
        "select due_at from deliveries where state = 'pending' and claimed = 0 and target = ?"
        " and due_at is not null order by due_at limit 1"
    )
    found = ((target, rows(cursor, sql, (target,))) for target in targets)
    return Due(
        at={target: from_ms(due[0][0]) for target, due in found if due},
        paused=frozenset(target for (target,) in rows(cursor, "select target from pauses")),
    )
