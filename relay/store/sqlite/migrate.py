"""Migrate a database of any earlier version: the numbered files of `migrations/`, all in one transaction."""

from collections.abc import Iterator
from importlib.resources import files

import apsw

from relay.errors import StoreUnsafe

APPLICATION_ID = 0x616D6F52  # "amoR": tells our database from any other

_REMEDIES = {False: "relay run brings it up to date", True: "upgrade the relay"}


def pending(connection: apsw.Connection) -> int | None:
    """Return the schema that a database of an earlier version would be migrated to; None if it is current."""
    version = _number(connection, "user_version")
    newest = newest_schema()
    ours = _number(connection, "application_id") == APPLICATION_ID
    return newest if ours and 0 < version < newest else None


def migrate(connection: apsw.Connection, name: str) -> None:
    """Bring the schema up to date; raises StoreUnsafe for a newer or a foreign database, and leaves it alone."""
    version = _number(connection, "user_version")
    newest = newest_schema()
    if version > newest:
        raise StoreUnsafe(
            f"{name} was written by a newer relay (schema {version}, this one knows {newest}): upgrade the relay"
        )
    if version == 0 and _number(connection, "schema_version") != 0:
        raise StoreUnsafe(f"{name} is a database of another program: name another file with --store")
    if version and _number(connection, "application_id") != APPLICATION_ID:
        raise StoreUnsafe(f"{name} is not a relay's database: name another file with --store")
    if version < newest:
        scripts = "; ".join(sql for number, sql in _scripts() if number > version)
        stamp = f"pragma user_version = {newest}; pragma application_id = {APPLICATION_ID}"
        connection.execute(f"begin immediate; {scripts}; {stamp}; commit")


def newest_schema() -> int:
    """Return the schema that this relay knows."""
    return max(number for number, _ in _scripts())


def check_version(connection: apsw.Connection, name: str) -> None:
    """For visitors: raise StoreUnsafe unless the schema is exactly the one this relay knows."""
    newest = newest_schema()
    version = _number(connection, "user_version")
    ours = _number(connection, "application_id") == APPLICATION_ID
    if not ours or version != newest:
        next_ = f": {_REMEDIES[version > newest]}" if version and ours else ""
        raise StoreUnsafe(f"{name} is not a store of this relay's version (schema {version}, needed {newest}){next_}")


def _scripts() -> Iterator[tuple[int, str]]:
    folder = files("relay.store.sqlite") / "migrations"
    for script in sorted(folder.iterdir(), key=lambda file: file.name):
        yield int(script.name.split("_")[0]), script.read_text()


def _number(connection: apsw.Connection, pragma: str) -> int:
    value = connection.pragma(pragma)
    assert isinstance(value, int)  # noqa: S101  for mypy: these pragmas are integers
    return value
