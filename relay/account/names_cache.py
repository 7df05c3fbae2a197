"""The catalog of an account <-> its file on disk, which is replaced when a name has changed, and only then.

The daemon watches the file and loads its routes again when it changes. When the names were last confirmed is the time
of a second, empty file beside it.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson

from relay.account.catalog import Api, fetch_catalog
from relay.errors import ConfigurationError
from relay.model import Account
from relay.model.names import Catalog
from relay.model.names_json import NamesUnreadable, to_json
from relay.model.names_memory import remembering, same_names
from relay.os_errors import write_problem
from relay.routes.names_files import cache_file, read_names


def confirmed_at(folder: Path, account: str) -> datetime | None:
    """When amoCRM last confirmed the names in the cache; None if it never did."""
    try:
        return datetime.fromtimestamp(_confirmation(folder, account).stat().st_mtime, UTC)
    except OSError:
        return None


def cached(folder: Path, account: Account) -> Catalog | None:
    """The catalog in the cache, if it is this account's and can be read."""
    try:
        catalog = read_names(cache_file(folder, account.name))
    except NamesUnreadable:
        return None
    return catalog if catalog.host == account.host else None


async def refresh(api: Api, account: Account, folder: Path, *, known: Catalog | None, now: datetime) -> Catalog:
    """Ask for the account's names and cache them; return them with the former ones.

    `known`: what the routes have of them, where there is no cache. Raises an AccountError, or ConfigurationError if the
    cache cannot be written.
    """
    before = cached(folder, account) or known
    found = remembering(before, await fetch_catalog(api, account.host, before, now=now))
    try:
        keep(folder, account, found, now=now)
    except OSError as error:
        raise ConfigurationError(write_problem(cache_file(folder, account.name), error)) from None
    return found


def keep(folder: Path, account: Account, catalog: Catalog, *, now: datetime) -> bool:
    """Write the cache if a name in it has changed, durably and as a whole; True if it was written."""
    changed = not same_names(cached(folder, account), catalog)
    if changed:
        content = orjson.dumps(to_json(catalog), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        _replace(cache_file(folder, account.name), content)
    confirmation = _confirmation(folder, account.name)
    confirmation.touch(mode=0o600)
    os.utime(confirmation, (now.timestamp(), now.timestamp()))
    return changed


def _confirmation(folder: Path, account: str) -> Path:
    return cache_file(folder, account).with_suffix(".confirmed")


def _replace(path: Path, content: bytes) -> None:
    """Readable for its owner alone: the names and addresses of users are in it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
