"""Targets -> why their deliveries wait: paused by an operator, held by the daemon."""

from collections.abc import Mapping

import apsw

from relay.store import auditing
from relay.store.contract import Act, Condition, Pause
from relay.store.query import rows
from relay.store.times import from_ms, to_ms


def pause(cursor: apsw.Cursor, target: str, act: Act) -> bool:
    """False if it is paused already."""
    cursor.execute(
        "insert into pauses (target, paused_at, who, reason) values (?, ?, ?, ?) on conflict do nothing",
        (target, to_ms(act.at), act.who, act.details.get("reason", "")),
    )
    return _noted(cursor, act)


def resume(cursor: apsw.Cursor, target: str, act: Act) -> bool:
    """False if it is not paused."""
    cursor.execute("delete from pauses where target = ?", (target,))
    return _noted(cursor, act)


def _noted(cursor: apsw.Cursor, act: Act) -> bool:
    """Whether anything changed; then it is audited."""
    changed = bool(cursor.connection.changes())
    if changed:
        auditing.note(cursor, act, 1)
    return changed


def report(cursor: apsw.Cursor, conditions: Mapping[str, Condition]) -> None:
    """In place of all that was reported before."""
    cursor.execute("delete from conditions")
    cursor.executemany(
        "insert into conditions (target, health, since, as_of, error) values (?, ?, ?, ?, ?)",
        [(name, each.health, to_ms(each.since), to_ms(each.as_of), each.error) for name, each in conditions.items()],
    )


def pauses(cursor: apsw.Cursor) -> dict[str, Pause]:
    """By target."""
    found = rows(cursor, "select target, paused_at, who, reason from pauses")
    return {target: Pause(at=from_ms(at), who=who, reason=reason) for target, at, who, reason in found}


def conditions(cursor: apsw.Cursor) -> dict[str, Condition]:
    """By target."""
    found = rows(cursor, "select target, health, since, as_of, error from conditions")
    return {
        target: Condition(health=health, since=from_ms(since), as_of=from_ms(as_of), error=error)
        for target, health, since, as_of, error in found
    }
