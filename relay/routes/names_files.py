"""Accounts -> their catalogs: the cache on disk, which the daemon writes, and the file that `names` names."""

from collections.abc import Iterable
from pathlib import Path

import orjson

from relay.model import Account
from relay.model.names import Catalog
from relay.model.names_json import NamesUnreadable, from_json
from relay.model.names_memory import remembering
from relay.os_errors import os_error_text, permission_problem
from relay.routes.diagnostics import Unfit
from relay.routes.reader import Reader

MAX_FILE_BYTES = 32 * 1024 * 1024


def cache_file(folder: Path, account: str) -> Path:
    """The cache of an account; names of accounts are fit for names of files."""
    return folder / f"relay-names-{account}.json"


def read_catalogs(reader: Reader, accounts: Iterable[Account], folder: Path | None) -> dict[str, Catalog]:
    """The catalog of each account that has one; without a `folder` the files of `names` alone.

    Problems are those of the files that the routes file names: a cache that cannot be used is made anew.
    """
    found = {account.name: _catalog(reader, account, folder) for account in accounts}
    return {name: catalog for name, catalog in found.items() if catalog}


def _catalog(reader: Reader, account: Account, folder: Path | None) -> Catalog | None:
    exported = _exported(reader, account)
    cached = _cached(reader, account, cache_file(folder, account.name)) if folder else None
    if exported is None or cached is None:
        return exported or cached
    older, newer = sorted((exported, cached), key=lambda each: each.as_of)
    return remembering(older, newer)


def _exported(reader: Reader, account: Account) -> Catalog | None:
    if (path := account.names) is None or reader.sealed:
        return None

    def read(_text: str) -> Catalog:
        reader.on_open(path)
        try:
            catalog = read_names(path)
        except NamesUnreadable as error:
            raise Unfit(f"{error}: make one with relay names --export") from None
        if account.host and catalog.host != account.host:
            raise Unfit(f"has the names of {catalog.host}: make one of this account with relay names --export")
        return catalog

    return reader.take(("accounts", account.name, "names"), read, None)


def _cached(reader: Reader, account: Account, path: Path) -> Catalog | None:
    reader.on_open(path)
    try:
        catalog = read_names(path)
    except NamesUnreadable:
        return None
    return catalog if catalog.host == account.host else None


def read_names(path: Path) -> Catalog:
    """Read a names file; NamesUnreadable says why it cannot be used."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise NamesUnreadable(permission_problem(path) or f"cannot be read: {os_error_text(error)}") from None
    if len(content) > MAX_FILE_BYTES:
        raise NamesUnreadable("is over 32 MB")
    try:
        return from_json(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise NamesUnreadable(f"is not JSON, line {error.lineno}") from None
    except NamesUnreadable as error:
        raise NamesUnreadable(f"is no names file: {error}") from None
