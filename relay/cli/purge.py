"""`relay purge`: an age -> the webhooks that were kept for longer are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from relay.cli.options import act, asynchronous, config_option, load_to_look, store_option, visiting
from relay.cli.output import cell, put, table
from relay.cli.values import duration
from relay.model import Json, Retention

AGES = [each.name for each in fields(Retention)]
DONE_WITH = ("delivered", "unrouted")
"""What goes by an age alone: what is dead or unparsed may still be wanted, and goes only if it is named."""


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
@click.option("--dry-run", is_flag=True, help="Only count them.")
@config_option
@store_option
@asynchronous
async def purge(
    older_than: timedelta | None, states: Sequence[str], dry_run: bool, config_path: Path, store_path: Path
) -> None:
    """Delete what was kept long enough.

    Webhooks go with all that came of them, by the ages of retention in the routes file, as the daemon purges them by
    itself every few minutes; or by --older-than, and then dead and unparsed ones only if --state names them. What has
    a pending delivery never goes. The space is used again, but the file does not shrink.

    \b
    relay purge --dry-run
    relay purge --older-than 7d
    relay purge --older-than 60d --state dead --state unparsed
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if older_than is None:
        ages = asdict(load_to_look(config_path).retention)
        chosen = {name: age for name, age in ages.items() if not states or name in states}
    else:
        chosen = dict.fromkeys(states or DONE_WITH, older_than)
    retention = Retention(**{name: chosen.get(name) for name in AGES})
    async with visiting(store_path) as store:
        done = act("purge", _asked(chosen))
        counts = await store.purge(retention, now=datetime.now(UTC), act=done, dry_run=dry_run)
    _tell(counts, "would purge" if dry_run else "purged")


def _asked(ages: Mapping[str, timedelta | None]) -> dict[str, Json]:
    return {name: "forever" if age is None else str(age) for name, age in ages.items()}


def _tell(counts: Mapping[str, int], purged: str) -> None:
    counted = table("STATE", "WEBHOOKS", right=("WEBHOOKS",))
    for name in AGES:
        if name in counts:
            counted.add_row(cell(name), cell(counts[name]))
    if counts:
        put(counted)
    click.echo(f"{purged} {sum(counts.values())}")
