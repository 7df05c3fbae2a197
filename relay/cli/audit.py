"""`relay audit`: the store's audit -> a table for people, JSON for programs."""

from collections.abc import Mapping
from pathlib import Path

import click

from relay.cli import documents
from relay.cli.options import asynchronous, json_option, store_option, visiting
from relay.cli.screen import cell, note, print_json, put, table
from relay.cli.times import Times
from relay.cli.values import Whole
from relay.model import Json


@click.command("audit")
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@store_option
@json_option
@asynchronous
async def audit(limit: int, store_path: Path, as_json: bool) -> None:
    """List what operators did, newest first.

    Replays, pauses and purges by hand: when, who, what was asked, and how many it concerned.

    \b
    relay audit
    relay audit --limit 1 --json
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_path) as store:
        acts = await store.audit(limit=limit)
    if as_json:
        print_json([documents.act(each) for each in acts])
        return
    times = Times(each.at for each in acts)
    shown = table(times.heading("WHEN"), "WHO", "COMMAND", "COUNT", "ASKED", right=("COUNT",), folds=("WHO", "ASKED"))
    for each in acts:
        shown.add_row(
            times.cell(each.at), cell(each.who), cell(each.command), cell(each.count), cell(_asked(each.details))
        )
    if acts:
        put(shown)
    else:
        note("nothing was done by hand")


def _asked(details: Mapping[str, Json]) -> str:
    """`target=warehouse states=dead,delivered`."""
    told = ((name, ",".join(map(str, value)) if isinstance(value, list) else value) for name, value in details.items())
    return " ".join(f"{name}={value}" for name, value in told if value not in ("", None))
