"""`relay access`: names -> tokens for the private listener, in the access file."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.flag_types import duration
from relay.cli.options import LINES, ListingCommand, access_option, asynchronous, json_option, listing_json_option
from relay.cli.output import cell, json_line, note, print_document, print_json, put, table
from relay.cli.store import operator, store_option, visiting
from relay.cli.times import Times, local
from relay.errors import RelayError
from relay.operations import access as operation
from relay.operations.access import Entry, Issued
from relay.operations.asker import Role
from relay.operations.reloads import Nothing
from relay.operations.sessions import END_SESSIONS
from relay.store.open import StoreUrl

_file_option = access_option("The access file, as relay run has it.", required=True)
_expires_option = click.option(
    "--expires", type=duration, metavar="AGE", help="The token ends after this time, like 90d; at most 365d."
)


@click.group("access")
def access() -> None:
    """Give people and programs tokens of their own.

    The file holds a name, a role and a hash of each token; relay run --access FILE accepts them, and loads the file
    again when it has changed. A viewer asks, and sees field values as *** unless with --payloads; an operator also
    acts. The name is in relay audit.

    \b
    relay access add olga --role viewer --expires 90d
    relay access list
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@access.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([each.value for each in Role]), required=True, help="viewer: asks; operator: also acts."
)
@_expires_option
@click.option("--payloads", is_flag=True, help="Let a viewer see field values, bodies and answers.")
@json_option
@_file_option
@store_option
@asynchronous
async def add(
    name: str,
    role: str,
    expires: timedelta | None,
    payloads: bool,
    as_json: bool,
    access_file: Path,
    store_url: StoreUrl,
) -> None:
    """Make a token for a name, and print it: this once.

    The access file is made if it is missing. A running relay accepts the token within two seconds.

    \b
    relay access add olga --role viewer --expires 90d
    relay access add deploy --role operator > deploy.token
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    issued = operation.add(
        access_file, name, role=Role(role), expires=expires, payloads=payloads, now=datetime.now(UTC)
    )
    _print(issued, as_json)
    await _audit("access add", issued.entry, store_url)


@access.command("rotate")
@click.argument("name")
@_expires_option
@json_option
@_file_option
@store_option
@asynchronous
async def rotate(name: str, expires: timedelta | None, as_json: bool, access_file: Path, store_url: StoreUrl) -> None:
    """Replace the token of a name, and print the new one: this once.

    Role and payloads stay. The old token ends when a running relay has loaded the file, within two seconds. Without
    --expires the new one is valid for as long as the old one was.

    \b
    relay access rotate olga
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    issued = operation.rotate(access_file, name, expires=expires, now=datetime.now(UTC))
    _print(issued, as_json)
    await _audit("access rotate", issued.entry, store_url)


@access.command("end-sessions")
@place_options
@json_option
@asynchronous
async def end_sessions(place: Place, as_json: bool) -> None:
    """End every session of the console: everybody has to log in again.

    For a cookie that may be in the wrong hands. Every relay on the store notices within ten seconds. Tokens stay as
    they are: one that may be in the wrong hands is replaced with relay access rotate, which ends its sessions alone.

    \b
    relay access end-sessions
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk(noting=True) as desk:
        done = await desk.ask(END_SESSIONS, Nothing())
    if as_json:
        print_document(done)
    else:
        click.echo("all sessions of the console have ended")


@access.command("list", cls=ListingCommand)
@listing_json_option
@_file_option
def list_(as_json: str | None, access_file: Path) -> None:
    """List names, roles and when each token ends; tokens are not stored, and not shown.

    \b
    relay access list
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    found = operation.listing(access_file)
    views = [operation.view(each, datetime.now(UTC)) for each in found]
    if as_json == LINES:
        for view in views:
            click.echo(json_line(view))
    elif as_json:
        print_json({"tokens": views})
    elif not found:
        note(f"{access_file} has no tokens: no request is accepted by it")
    else:
        _table(found)


@access.command("remove")
@click.argument("name")
@_file_option
@store_option
@json_option
@asynchronous
async def remove(name: str, access_file: Path, store_url: StoreUrl, as_json: bool) -> None:
    """End the token of a name.

    It ends when a running relay has loaded the file, within two seconds.

    \b
    relay access remove olga
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    removed = operation.remove(access_file, name)
    if as_json:
        print_json({"name": removed.name, "id": removed.id, "removed": True})
    else:
        click.echo(f"the token of {removed.name} is removed")
    await _audit("access remove", removed, store_url)


async def _audit(command: str, entry: Entry, store_url: StoreUrl) -> None:
    """Audit it where there is a store: the file has changed already, and that stands."""
    try:
        async with visiting(store_url) as store:
            await operation.record(store, command, entry, by=operator())
    except (RelayError, NotDone) as error:
        note(f"not in relay audit: {error}")


# ---- lines


def _print(issued: Issued, as_json: bool) -> None:
    """The token alone on standard output, for `> FILE`; what it is on standard error."""
    entry = issued.entry
    if as_json:
        print_json({**operation.view(entry, entry.created_at), "token": issued.token.reveal()})
        return
    click.echo(issued.token.reveal())
    ends = f"until {local(entry.expires_at, seconds=True)}" if entry.expires_at else "without an end"
    note(f"the token of {entry.name}, {_role(entry)}, {ends}; it is shown this once")


def _table(found: Sequence[Entry]) -> None:
    now, made = datetime.now(UTC), Times(each.created_at for each in found)
    ends = Times(each.expires_at for each in found if each.expires_at)
    shown = table("NAME", "ROLE", "ID", made.heading("MADE"), ends.heading("ENDS"), folds=("NAME",))
    for each in found:
        end = ends.cell(each.expires_at) if each.expires_at else "never"
        expired = each.expired(now)
        shown.add_row(
            cell(each.name, "bold"),
            cell(_role(each)),
            cell(each.id),
            cell(made.cell(each.created_at)),
            cell(f"{end}, expired" if expired else end, "red" if expired else ""),
        )
    put(shown)


def _role(entry: Entry) -> str:
    return f"{entry.role} with payloads" if entry.payloads and entry.role is Role.VIEWER else str(entry.role)
