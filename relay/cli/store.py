"""`--store` -> the store, beside a daemon or not; and who acts on it."""

import getpass
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import is_utf8
from relay.cli.options import Flag
from relay.errors import ConfigurationError, StoreLocked

if TYPE_CHECKING:
    from relay.store.contract import Archive


def store_url(text: str) -> Path:
    """`sqlite:///relay.db`, `sqlite:////var/lib/relay/relay.db` -> the database's path.

    ConfigurationError for a store that is yet to come, and for a folder; misuse for what is none.
    """
    if text.startswith(("postgresql:", "postgres:")):
        raise ConfigurationError("a PostgreSQL store is not available yet: use --store sqlite:///relay.db")
    scheme, _, path = text.partition(":///")
    if scheme != "sqlite" or not path:
        raise click.BadParameter("a store is written sqlite:///relay.db or sqlite:////absolute/path/relay.db")
    if not is_utf8(path):
        raise click.BadParameter(f"{path!r} is not UTF-8, which the name of a store must be")
    if path.endswith("/") or os.path.isdir(path):  # noqa: PTH112  Path.is_dir fails where it may not look
        raise ConfigurationError(f"{path} is a folder: name a file, like sqlite:///{Path(path) / 'relay.db'}")
    return Path(path)


store_option = click.option(
    "--store",
    "store_path",
    cls=Flag,
    type=store_url,
    metavar="URL",
    envvar="RELAY_STORE",
    default="sqlite:///relay.db",
    show_default=True,
    show_envvar=True,
    help="Where webhooks are stored.",
)


@asynccontextmanager
async def visiting(path: Path) -> AsyncIterator["Archive"]:
    """The store, beside the daemon if one runs. ConfigurationError if there is none."""
    from relay.store.sqlite.store import SqliteStore

    store = SqliteStore.visit(path)
    try:
        yield store
    finally:
        await store.close()


async def notice_losses(path: Path) -> None:
    """Have the store record webhooks that are missing, as its owner; a running daemon did so when it started."""
    from relay.store.sqlite.store import SqliteStore

    with suppress(StoreLocked):
        await SqliteStore.open(path, now=datetime.now(UTC), emit=lambda _signal: None, failed=lambda: None).close()


def operator() -> str:
    """`ann@host`: who runs this process, for the audit."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the uid may have no name
        return f"uid {os.getuid()}"
