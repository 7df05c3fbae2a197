"""A name -> a token made, replaced or removed in the access file; and the list of them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from relay.errors import ConfigurationError, ConflictError, NotFoundError
from relay.model import Json, Secret, frozen
from relay.operations import audit, clock
from relay.operations.access import file, tokens
from relay.operations.access.entries import Entry, composed, demand_name
from relay.operations.asker import Role
from relay.rfc3339 import rfc3339
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import OperationsStore


@frozen
class Issued:
    """A new entry, and its token: the only time that it is known."""

    entry: Entry
    token: Secret


def add(path: Path, name: str, *, role: Role, expires: timedelta | None, payloads: bool, now: datetime) -> Issued:
    """Make a token for a name that has none; ConflictError if it has one."""
    try:
        name = demand_name(name)
    except ValueError as error:
        raise ConfigurationError(f"{quoted(name)}: {error}") from None

    def issue(known: Sequence[Entry]) -> Issued:
        if any(each.name == name for each in known):
            raise ConflictError(f"{name} has a token: replace it with relay access rotate {name}")
        return _issued(known, name, role=role, payloads=payloads, expires=expires, now=now)

    return _changed(path, issue)


def rotate(path: Path, name: str, *, expires: timedelta | None, now: datetime) -> Issued:
    """Replace the token of a name: the old one ends at once. Without `expires` the new one lives as long as the old."""

    def issue(known: Sequence[Entry]) -> Issued:
        old = _named(known, name)
        life = expires or (old.expires_at - old.created_at if old.expires_at else None)
        return _issued(known, old.name, role=old.role, payloads=old.payloads, expires=life, now=now)

    return _changed(path, issue)


def remove(path: Path, name: str) -> Entry:
    """End the token of a name; NotFoundError if there is none."""
    removed: list[Entry] = []

    def without(known: Sequence[Entry]) -> Sequence[Entry]:
        removed.append(_named(known, name))
        return [each for each in known if each is not removed[0]]

    file.change(path, without)
    return removed[0]


def listing(path: Path) -> Sequence[Entry]:
    """Every entry, by name."""
    return sorted(file.load(path), key=lambda each: each.name)


async def record(store: OperationsStore, command: str, entry: Entry, *, by: str) -> None:
    """Audit what was done to the token of `entry`."""
    details: dict[str, Json] = {"name": entry.name, "role": str(entry.role), "id": entry.id}
    details |= {"payloads": True} if entry.payloads else {}
    details |= {"expires_at": rfc3339(entry.expires_at)} if entry.expires_at else {}
    await store.record_audit(audit.entry(command, details, by=by, now=clock.now(store)), 1)


def view(entry: Entry, now: datetime) -> dict[str, Json]:
    """The entry as `--json` shows it: nothing of the token but its id."""
    return {
        "name": entry.name,
        "role": str(entry.role),
        "payloads": entry.asker.payloads,
        "id": entry.id,
        "created_at": rfc3339(entry.created_at),
        "expires_at": rfc3339(entry.expires_at) if entry.expires_at else None,
        "expired": entry.expired(now),
    }


def _changed(path: Path, issue: Callable[[Sequence[Entry]], Issued]) -> Issued:
    made: list[Issued] = []

    def changed(known: Sequence[Entry]) -> Sequence[Entry]:
        issued = issue(known)
        made.append(issued)
        return [*(each for each in known if each.name != issued.entry.name), issued.entry]

    file.change(path, changed)
    return made[0]


def _issued(
    known: Sequence[Entry], name: str, *, role: Role, payloads: bool, expires: timedelta | None, now: datetime
) -> Issued:
    minted = tokens.mint()
    while any(each.id == minted.id for each in known):
        minted = tokens.mint()
    entry = Entry(
        name=name,
        role=role,
        id=minted.id,
        sha256=minted.sha256,
        created_at=now,
        expires_at=now + expires if expires else None,
        payloads=payloads,
    )
    return Issued(entry=entry, token=minted.text)


def _named(known: Sequence[Entry], name: str) -> Entry:
    for each in known:
        if each.name == composed(name):
            return each
    raise NotFoundError(f"no token of {quoted(name)} {suggestion(name, sorted(each.name for each in known))}")
