"""`relay purge`: an age -> webhooks that have been kept for longer are deleted."""

from datetime import timedelta
from pathlib import Path

import click

from relay.cli.desk import Place, place_options
from relay.cli.flag_types import duration
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, print_document, put, table
from relay.operations.documents.replays import PurgeDocument
from relay.operations.purge import AGES
from relay.operations.purges import PURGE, Purge, State


@click.command("purge")
@click.option("--older-than", type=duration, metavar="AGE", help="In place of the routes file's retention: 30d, 12h.")
@click.option(
    "--state",
    "states",
    type=click.Choice(AGES),
    multiple=True,
    metavar="STATE",
    help="Only delivered, dead, unrouted or unparsed; may be repeated. With --older-than alone: delivered, unrouted.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    metavar="FOLDER",
    help="In place of the routes file's retention.archive: write there what is deleted.",
)
@click.option("--dry-run", is_flag=True, help="Only count them.")
@place_options
@json_option
@asynchronous
async def purge(
    older_than: timedelta | None,
    states: tuple[State, ...],
    archive: Path | None,
    dry_run: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Delete webhooks past their retention.

    Webhooks are deleted with all that came of them, by the ages of retention in the routes file, as the daemon does by
    itself every few minutes; or by --older-than, and then dead and unparsed ones only if --state names them. A webhook
    with a pending delivery is never deleted. The space is used again, but the file does not shrink.

    If the routes file names a folder as retention.archive, or --archive does, what is deleted is on disk there before,
    and stays in the store if it cannot be.

    \b
    relay purge --dry-run
    relay purge --older-than 7d
    relay purge --older-than 60d --state dead --state unparsed
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    age = None if older_than is None else f"{older_than // timedelta(milliseconds=1)}ms"
    async with place.desk(archive=archive) as desk:
        done = await desk.ask(PURGE, Purge(older_than=age, state=states, dry_run=dry_run))
    if as_json:
        print_document(done)
    else:
        _print(done)


def _print(done: PurgeDocument) -> None:
    counted = table("STATE", "WEBHOOKS", right=("WEBHOOKS",))
    for name in AGES:
        if name in done.counts:
            counted.add_row(cell(name), cell(done.counts[name]))
    if done.counts:
        put(counted)
    click.echo(f"{'would purge' if done.dry_run else 'purged'} {sum(done.counts.values())}")
