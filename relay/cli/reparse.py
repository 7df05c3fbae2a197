"""`relay reparse`: unparsed webhooks -> the events that today's code and routes make of them."""

from collections.abc import Sequence

import click

from relay.amocrm import form
from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import counted, print_document
from relay.operations.documents.replays import ReparsedDocument, ReparseDocument
from relay.operations.reparses import REPARSE, Reparse
from relay.printable import printable


@click.command("reparse")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--charset",
    type=click.Choice([*form.CHARSETS], case_sensitive=False),
    metavar="NAME",
    help="Read the bodies in this charset, cp1251 for example.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would become of each.")
@place_options
@json_option
@asynchronous
async def reparse(ids: Sequence[str], charset: str | None, dry_run: bool, place: Place, as_json: bool) -> None:
    """Read unparsed webhooks again, with today's code and routes.

    All of them, or those whose ids (or starts of ids) are given. Ends with 1 if some stay unparsed.

    \b
    relay reparse --dry-run
    relay reparse 01998f2e-7d3a-7c31 --charset cp1251
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        done = await desk.ask(REPARSE, Reparse(ids=tuple(ids), charset=charset, dry_run=dry_run))
    if as_json:
        print_document(done)
    else:
        _print(done)
    if done.left:
        raise click.exceptions.Exit(1)


def _print(done: ReparseDocument) -> None:
    for each in done.webhooks:
        click.echo(f"{each.webhook}  {printable(_line(each))}")
    if (more := done.read + done.left - len(done.webhooks)) > 0:
        click.echo(f"… and {more} more")
    click.echo(f"{done.read} {'can be read' if done.dry_run else 'read'}, {done.left} left unparsed")


def _line(shown: ReparsedDocument) -> str:
    """`1 event, 2 deliveries`."""
    if shown.unparsed is not None:
        return f"unparsed: {shown.unparsed}"
    deliveries = "1 delivery" if shown.deliveries == 1 else f"{shown.deliveries} deliveries"
    return f"{counted(shown.events, 'event')}, {deliveries}"
