"""`relay reparse`: unparsed webhooks -> the events that today's code and routes make of them."""

from collections.abc import Sequence
from pathlib import Path

import click

from relay.amocrm import form
from relay.cli.options import asynchronous
from relay.cli.output import counted
from relay.cli.routes_file import config_option, load_with_stand_ins
from relay.cli.store import operator, store_option, visiting
from relay.operations import clock
from relay.operations import reparse as operation
from relay.operations.reparse import Reparsed
from relay.printable import printable
from relay.store.open import StoreUrl


@click.command("reparse")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--charset",
    type=click.Choice([*form.CHARSETS], case_sensitive=False),
    metavar="NAME",
    help="Read the bodies in this charset, cp1251 for example.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would become of each.")
@config_option
@store_option
@asynchronous
async def reparse(
    ids: Sequence[str], charset: str | None, dry_run: bool, config_path: Path, store_url: StoreUrl
) -> None:
    """Read unparsed webhooks again, with today's code and routes.

    All of them, or those whose ids (or starts of ids) are given. Ends with 1 if some stay unparsed.

    \b
    relay reparse --dry-run
    relay reparse 01998f2e-7d3a-7c31 --charset cp1251
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path)
    read = left = 0
    async with visiting(store_url) as store:
        by, now = operator(), clock.now(store)
        async for each in operation.reparse(store, ids, config, charset=charset, by=by, now=now, dry_run=dry_run):
            if each.unparsed is None:
                read += 1
            else:
                left += 1
            click.echo(f"{each.webhook.id}  {printable(_line(each))}")
    click.echo(f"{read} {'can be read' if dry_run else 'read'}, {left} left unparsed")
    if left:
        raise click.exceptions.Exit(1)


def _line(reparsed: Reparsed) -> str:
    """`1 event, 2 deliveries`."""
    if reparsed.unparsed is not None:
        return f"unparsed: {reparsed.unparsed}"
    deliveries = sum(len(each.planned) for each in reparsed.routed)
    return f"{counted(len(reparsed.routed), 'event')}, {deliveries} {'delivery' if deliveries == 1 else 'deliveries'}"
