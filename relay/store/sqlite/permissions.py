"""The files of a store -> whether this process may use them, before anything is opened, made or called damaged."""

from pathlib import Path

from relay.errors import ConfigurationError
from relay.os_errors import permission_problem
from relay.store.sqlite.files import SUFFIXES


def demand_permitted(database: Path, *, owner: bool = False) -> None:
    """ConfigurationError, with who owns what, if a visitor, or the `owner`, would be refused one of them."""
    if said := refused(database, owner=owner):
        raise ConfigurationError(said)


def refused(database: Path, *, owner: bool = False) -> str | None:
    """The sentence; None if permissions are in nobody's way."""
    there = owner or _is_there(database)  # a visitor makes none
    for suffix in SUFFIXES:
        if said := permission_problem(Path(f"{database}{suffix}"), write=there):
            return said
    for suffix in (".lock", ".acked", ".ballast"):
        beside = Path(f"{database}{suffix}")
        if beside.exists() and (said := permission_problem(beside, write=owner)):
            return said
    return None


def _is_there(database: Path) -> bool:
    try:
        return database.exists()
    except PermissionError:
        return False
