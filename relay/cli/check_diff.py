"""`relay check --diff`: which events an edit would route differently -> lines, and a table of the first of them."""

from collections.abc import Collection
from datetime import datetime

import click

from relay.cli.output import cell, clipped, counted, fits, is_wide, put, starts, table
from relay.cli.times import local
from relay.operations.diff import RoutesDiff
from relay.printable import printable
from relay.routes.diff import RoutingChange

MOST_SHOWN = 20
MOST_LISTED = 10_000
"""Changes in --json; each holds its event, and the store may have millions."""


def show(found: RoutesDiff, since: datetime) -> None:
    """Print what would be routed differently of the events from `since` on."""
    counts = found.counts
    if found.changes:
        _put_changes(found.changes)
    if more := counts.changed - len(found.changes):
        click.echo(f"… and {more} more: --json lists them")
    for change, words in ((counts.also, "would also go to"), (counts.no_longer, "would no longer go to")):
        for target, number in sorted(change.items()):
            click.echo(f"{counted(number, 'event')} {words} {printable(target)}")
    same = "" if counts.changed else ", all routed as before"
    click.echo(f"{counted(counts.events, 'event')} since {local(since)}{same}")


def _put_changes(changed: Collection[RoutingChange]) -> None:
    """A line for each event; where one is wider than the terminal, its routes go below it."""
    ids = {} if is_wide() else starts([each.event.id for each in changed])
    events = [[cell(ids.get(e.id, e.id)), cell(e.type), cell(clipped(e.entity_id))] for e in (c.event for c in changed)]
    routes = [[", ".join(side.routes) or "none" for side in (each.before, each.after)] for each in changed]
    whole = table("event", "type", "id", "before", "after")
    for event, sides in zip(events, routes, strict=True):
        whole.add_row(*event, *map(cell, sides))
    if fits(whole):
        put(whole)
        return
    widths = {name: max(row[n].cell_len for row in events) for n, name in enumerate(("event", "type"))}
    for event, (before, after) in zip(events, routes, strict=True):
        line = table("event", "type", "id", folds=("id",), headed=False, widths=widths)
        line.add_row(*event)
        put(line)
        put(cell(f"{before} → {after}", "dim"), indent=4)
