"""`relay purge`: an age -> webhooks that have been kept for longer are deleted."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.flag_types import duration
from relay.cli.options import asynchronous
from relay.cli.output import cell, put, table
from relay.cli.routes_file import config_option, load_with_stand_ins
from relay.cli.store import operator, store_option, visiting
from relay.operations import clock
from relay.operations import purge as operation
from relay.store.open import StoreUrl

if TYPE_CHECKING:
    from relay.routes.config import Config


@click.command("purge")
@click.option("--older-than", type=duration, metavar="AGE", help="In place of the routes file's retention: 30d, 12h.")
@click.option(
    "--state",
    "states",
    type=click.Choice(operation.AGES),
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
@config_option
@store_option
@asynchronous
async def purge(
    older_than: timedelta | None,
    states: Sequence[str],
    archive: Path | None,
    dry_run: bool,
    config_path: Path,
    store_url: StoreUrl,
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
    config = _config(config_path, needed=older_than is None)
    archive = archive or (config.archive if config else None)
    if older_than is not None:
        ages = operation.one_age(older_than, states)
    elif config:
        ages = operation.chosen_ages(config.retention, states)
    async with visiting(store_url) as store:
        counts = await operation.purge(
            store, ages, by=operator(), now=clock.now(store), archive=archive, dry_run=dry_run
        )
    _print(counts, "would purge" if dry_run else "purged")


def _config(config_path: Path, *, needed: bool) -> "Config | None":
    """The routes file, which may name an archive: none, if it is not `needed`, only where there is no such file."""
    return load_with_stand_ins(config_path) if needed or config_path.exists() else None


def _print(counts: Mapping[str, int], purged: str) -> None:
    counted = table("STATE", "WEBHOOKS", right=("WEBHOOKS",))
    for name in operation.AGES:
        if name in counts:
            counted.add_row(cell(name), cell(counts[name]))
    if counts:
        put(counted)
    click.echo(f"{purged} {sum(counts.values())}")
