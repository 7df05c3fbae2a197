"""`--store` -> the store, beside a daemon or not; and who acts on it."""

import getpass
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from relay.cli import NotDone, is_utf8
from relay.cli.options import flag, in_arguments
from relay.store import open as stores
from relay.store.contract import Archive
from relay.store.open import StoreUrl
from relay.store.open import account_records as account_records
from relay.store.open import notice_losses as notice_losses

P = ParamSpec("P")
T = TypeVar("T")


def parse_store_url(text: str) -> StoreUrl:
    """See `stores.parse_store_url`, with `${…}` as in a routes file; misuse for what is no store."""
    if not is_utf8(text):
        shown = repr(text) if text.startswith("sqlite:") else "the URL"  # it may have a password
        raise click.BadParameter(f"{shown} is not UTF-8, which the name of a store must be")
    try:
        url = stores.parse_store_url(text, expand=_expand)
        stores.check_url(url)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return url


def _expand(text: str) -> str:
    from relay.routes.secrets import expand_text

    return expand_text(text, os.environ)


DEFAULT_STORE = "sqlite:///relay.db"

store_option = flag(
    "--store",
    "store_url",
    type=parse_store_url,
    metavar="URL|PATH",
    default=DEFAULT_STORE,
    show_default=True,
    help="Where webhooks are stored.",
)


def visiting(url: StoreUrl) -> AbstractAsyncContextManager[Archive]:
    """See `stores.visiting` and `demand_here`."""
    demand_here()
    return stores.visiting(url)


def demand_here() -> None:
    """NotDone if RELAY_URL names a relay elsewhere, and no flag says that the store of this machine is meant."""
    relay = os.environ.get("RELAY_URL")
    if relay and not (in_arguments("store_url") or in_arguments("config_path")):
        raise NotDone(
            f"RELAY_URL names the relay at {relay}, and this is done by the store alone: run it there,"
            " or name the store here with --store"
        )


DEFAULT_SPOOL = "relay-spool.db"


def default_spool() -> Path:
    """`relay-spool.db` in the folder that systemd made for this service, or else in the working directory."""
    return Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0], DEFAULT_SPOOL)


def spool_option(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--spool`: the file of a relay whose store is a PostgreSQL one."""
    return flag(
        "--spool",
        type=click.Path(path_type=Path, readable=False),
        metavar="FILE",
        default=default_spool,
        show_default=DEFAULT_SPOOL,
        help=text,
    )


def names_folder() -> Path:
    """Where a daemon with the same options and variables caches names; a command without --store has the variable's."""
    given = click.get_current_context().params
    url = given.get("store_url") or parse_store_url(os.environ.get("RELAY_STORE") or DEFAULT_STORE)
    spool = given.get("spool") or os.environ.get("RELAY_SPOOL")
    return stores.state_folder(url, Path(spool) if spool else default_spool())


insecure_option = click.option(
    "--insecure-durability",
    is_flag=True,
    help="Use a PostgreSQL whose fsync or full_page_writes is off: a crash of its machine may lose what was stored.",
)
"""For a store that is a PostgreSQL one."""


def operator() -> str:
    """`ann@host`: who runs this process, for the audit."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the uid may have no name
        return f"uid {os.getuid()}"
