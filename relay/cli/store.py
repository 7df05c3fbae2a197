"""`--store` -> the store, beside a daemon or not; and who acts on it."""

import getpass
import os
import socket

import click

from relay.cli import is_utf8
from relay.cli.options import flag
from relay.store.open import StoreUrl
from relay.store.open import notice_losses as notice_losses
from relay.store.open import visiting as visiting


def parse_store_url(text: str) -> StoreUrl:
    """See `StoreUrl.parse`; misuse for what is no store."""
    if not is_utf8(text):
        raise click.BadParameter(f"{text!r} is not UTF-8, which the name of a store must be")
    try:
        return StoreUrl.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


store_option = flag(
    "--store",
    "store_url",
    type=parse_store_url,
    metavar="URL",
    default="sqlite:///relay.db",
    show_default=True,
    help="Where webhooks are stored.",
)


def operator() -> str:
    """`ann@host`: who runs this process, for the audit."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the uid may have no name
        return f"uid {os.getuid()}"
