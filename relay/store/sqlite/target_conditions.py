"""Health of targets and reports of the daemon, pauses and requested probes -> rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw
import orjson

from relay.model import Health, Json
from relay.store.activity import Activity, of_json
from relay.store.records import AuditEntry, HealthReport, Pause, Report
from relay.store.sqlite import audit
from relay.store.sqlite.sql import Row, rows
from relay.store.times import from_ms, to_ms

_CONDITION = "target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate"
_HEALTH = {each.value: each for each in Health}


def pause(cursor: apsw.Cursor, target: str, act: AuditEntry) -> bool:
    """Return False if it is paused already."""
    cursor.execute(
        "insert into pauses (target, paused_at, who, reason) values (?, ?, ?, ?) on conflict do nothing",
        (target, to_ms(act.at), act.who, act.details.get("reason", "")),
    )
    return _audit_if_changed(cursor, act)


def resume(cursor: apsw.Cursor, target: str, act: AuditEntry) -> bool:
    """Return False if it is not paused."""
    cursor.execute("delete from pauses where target = ?", (target,))
    return _audit_if_changed(cursor, act)


def _audit_if_changed(cursor: apsw.Cursor, act: AuditEntry) -> bool:
    """Audit the act if the last statement changed a row; return whether it did."""
    changed = bool(cursor.connection.changes())
    if changed:
        audit.add(cursor, act, 1)
    return changed


def publish_health(cursor: apsw.Cursor, conditions: Mapping[str, HealthReport]) -> None:
    """Replace all conditions; when a target was delivered to last stays known."""
    before: dict[str, int | None] = dict(rows(cursor, "select target, delivered_at from conditions"))
    cursor.execute("delete from conditions")
    cursor.executemany(
        f"insert into conditions ({_CONDITION}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(name, each, before.get(name)) for name, each in conditions.items()],
    )


def _row(target: str, seen: HealthReport, delivered_at: int | None) -> Row:
    return (
        target,
        seen.health.value,
        to_ms(seen.since),
        to_ms(seen.as_of),
        seen.error,
        seen.in_flight,
        orjson.dumps(sorted(seen.slow)).decode(),
        seen.probe_at and to_ms(seen.probe_at),
        to_ms(seen.delivered_at) if seen.delivered_at else delivered_at,
        seen.rate,
    )


def pauses(cursor: apsw.Cursor) -> dict[str, Pause]:
    """Return them by target."""
    found = rows(cursor, "select target, paused_at, who, reason from pauses")
    return {target: Pause(at=from_ms(at), who=who, reason=reason) for target, at, who, reason in found}


def conditions(cursor: apsw.Cursor) -> dict[str, HealthReport]:
    """Return them by target, without unreadable (corrupt) ones: the daemon will replace them."""
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
            delivered_at=None if delivered_at is None else from_ms(delivered_at),
            rate=rate,
        )
        for target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate in found
        if health in _HEALTH
    }


# ---- probe_requests for a probe


def request_probes(cursor: apsw.Cursor, targets: Sequence[str], at: int) -> None:
    """Request a probe of each target at once."""
    cursor.executemany(
        "insert into probes (target, at) values (?, ?)"
        " on conflict (target) do update set at = max(at + 1, excluded.at)",  # it is not the one that may be met now
        [(target, at) for target in targets],
    )


def probe_requests(cursor: apsw.Cursor) -> dict[str, datetime]:
    """Return when each target's probe was requested."""
    return {target: from_ms(at) for target, at in rows(cursor, "select target, at from probes")}


def fulfil_probes(cursor: apsw.Cursor, met: Mapping[str, datetime]) -> None:
    """Delete these requests."""
    cursor.executemany(
        "delete from probes where target = ? and at = ?", [(target, to_ms(at)) for target, at in met.items()]
    )


# ---- reports by name

ACTIVITY = "activity"
"""The report that is no part of the status, which is read at every scrape: it may be large."""


def publish(cursor: apsw.Cursor, name: str, value: Json, now: datetime) -> None:
    """Replace the report of this name."""
    cursor.execute(
        "insert into reports (name, as_of, value) values (?, ?, ?)"
        " on conflict (name) do update set as_of = excluded.as_of, value = excluded.value",
        (name, to_ms(now), orjson.dumps(value).decode()),
    )


def reports(cursor: apsw.Cursor) -> dict[str, Report]:
    """Return them by name, without unreadable (corrupt) ones: the daemon will replace them."""
    found = rows(
        cursor,
        "select name, as_of, value from reports where name <> ? and typeof(as_of) = 'integer' and json_valid(value)",
        (ACTIVITY,),
    )
    return {name: Report(as_of=from_ms(as_of), value=orjson.loads(value)) for name, as_of, value in found}


def activity(cursor: apsw.Cursor) -> list[Activity]:
    """Return the report of that name, if it is readable."""
    found = rows(cursor, "select value from reports where name = ? and json_valid(value)", (ACTIVITY,))
    return [read for (value,) in found if (read := of_json(orjson.loads(value)))]
