"""Targets -> why their deliveries wait: paused by an operator, held by the daemon."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw
import orjson

from relay.model import Health
from relay.store.records import AuditEntry, HealthReport, Pause
from relay.store.sqlite import audit
from relay.store.sqlite.query import Row, rows
from relay.store.sqlite.times import from_ms, to_ms

_CONDITION = "target, health, since, as_of, error, in_flight, slow, probe_at"
_HEALTH = {each.value: each for each in Health}


def pause(cursor: apsw.Cursor, target: str, act: AuditEntry) -> bool:
    """False if it is paused already."""
    cursor.execute(
        "insert into pauses (target, paused_at, who, reason) values (?, ?, ?, ?) on conflict do nothing",
        (target, to_ms(act.at), act.who, act.details.get("reason", "")),
    )
    return _noted(cursor, act)


def resume(cursor: apsw.Cursor, target: str, act: AuditEntry) -> bool:
    """False if it is not paused."""
    cursor.execute("delete from pauses where target = ?", (target,))
    return _noted(cursor, act)


def _noted(cursor: apsw.Cursor, act: AuditEntry) -> bool:
    """Whether anything changed; then it is audited."""
    changed = bool(cursor.connection.changes())
    if changed:
        audit.note(cursor, act, 1)
    return changed


def report(cursor: apsw.Cursor, conditions: Mapping[str, HealthReport]) -> None:
    """In place of all that was reported before."""
    cursor.execute("delete from conditions")
    cursor.executemany(
        f"insert into conditions ({_CONDITION}) values (?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(name, each) for name, each in conditions.items()],
    )


def _row(target: str, seen: HealthReport) -> Row:
    return (
        target,
        seen.health.value,
        to_ms(seen.since),
        to_ms(seen.as_of),
        seen.error,
        seen.in_flight,
        orjson.dumps(sorted(seen.slow)).decode(),
        seen.probe_at and to_ms(seen.probe_at),
    )


def pauses(cursor: apsw.Cursor) -> dict[str, Pause]:
    """By target."""
    found = rows(cursor, "select target, paused_at, who, reason from pauses")
    return {target: Pause(at=from_ms(at), who=who, reason=reason) for target, at, who, reason in found}


def conditions(cursor: apsw.Cursor) -> dict[str, HealthReport]:
    """By target, without those that a disk has made unreadable: the daemon will replace them."""
    found = rows(cursor, f"select {_CONDITION} from conditions where json_valid(slow)")
    return {
        target: HealthReport(
            health=_HEALTH[health],
            since=from_ms(since),
            as_of=from_ms(as_of),
            error=error,
            in_flight=in_flight,
            slow=frozenset(orjson.loads(slow)),
            probe_at=None if probe_at is None else from_ms(probe_at),
        )
        for target, health, since, as_of, error, in_flight, slow, probe_at in found
        if health in _HEALTH
    }


# ---- wishes for a probe


def wish(cursor: apsw.Cursor, targets: Sequence[str], at: int) -> None:
    """They are to be asked at once if they are held."""
    cursor.executemany(
        "insert into probes (target, at) values (?, ?)"
        " on conflict (target) do update set at = max(at + 1, excluded.at)",  # it is not the one that may be met now
        [(target, at) for target in targets],
    )


def wishes(cursor: apsw.Cursor) -> dict[str, datetime]:
    """By target, since when."""
    return {target: from_ms(at) for target, at in rows(cursor, "select target, at from probes")}


def meet(cursor: apsw.Cursor, met: Mapping[str, datetime]) -> None:
    """These are wishes no more."""
    cursor.executemany(
        "delete from probes where target = ? and at = ?", [(target, to_ms(at)) for target, at in met.items()]
    )
