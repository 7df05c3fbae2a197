"""`relay check --diff`: two routes files and the events in the store -> which would be routed differently, and how."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import click

from relay.amocrm.events import load as load_event
from relay.cli.filters import pages
from relay.cli.options import visiting
from relay.cli.output import cell, clipped, fits, is_wide, print_json, put, starts, table
from relay.cli.times import local
from relay.model import Json
from relay.printable import printable
from relay.routes.config import Config
from relay.routes.diff import DiffSummary, RoutingChange, changes, summarize
from relay.routes.match import Matcher, Matches
from relay.store.contract import Filter

PAGE = 500
MOST_SHOWN = 20
MOST_LISTED = 10_000
"""Changes in --json; each holds its event, and the store may have millions."""


def compare(before: Config, after: Config, since: datetime, store_path: Path, *, as_json: bool) -> None:
    """Print what `after` would send elsewhere than `before` does."""
    kept = MOST_LISTED if as_json else MOST_SHOWN
    found, changed = asyncio.run(_changes(before.matcher, after.matcher, store_path, since, most=kept))
    if as_json:
        print_json(_document(found, changed))
    else:
        _print(found, changed, since)


async def _changes(
    old: Matcher, new: Matcher, store_path: Path, since: datetime, *, most: int
) -> tuple[DiffSummary, list[RoutingChange]]:
    """All of it counted, and the first so many changes."""
    found, first = DiffSummary(), list[RoutingChange]()
    async with visiting(store_path) as store:
        async for page in pages(lambda after: store.events(Filter(since=since), limit=PAGE, after=after)):
            events = [load_event(each.payload) for each in page if not each.corrupt]
            changed = changes(old, new, events)
            found += summarize(changed, of=len(events))
            first += changed[: most - len(first)]
    return found, first


def _print(found: DiffSummary, changed: Sequence[RoutingChange], since: datetime) -> None:
    if changed:
        _put_changes(changed)
    if more := found.changed - len(changed):
        click.echo(f"… and {more} more: --json lists them")
    for change, words in ((found.also, "would also go to"), (found.no_longer, "would no longer go to")):
        for target, number in sorted(change.items()):
            click.echo(f"{counted(number, 'event')} {words} {printable(target)}")
    same = "" if found.changed else ", all routed as before"
    click.echo(f"{counted(found.events, 'event')} since {local(since)}{same}")


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


def _document(found: DiffSummary, changed: Sequence[RoutingChange]) -> dict[str, Json]:
    return {
        "events": found.events,
        "also": dict(found.also),
        "no_longer": dict(found.no_longer),
        "changed": found.changed,
        "changes": [
            {
                "id": each.event.id,
                "type": each.event.type,
                "entity_id": each.event.entity_id,
                "before": _side(each.before),
                "after": _side(each.after),
            }
            for each in changed
        ],
    }


def _side(matches: Matches) -> dict[str, Json]:
    return {"routes": list(matches.routes), "targets": sorted(matches.targets)}


def counted(number: int, word: str) -> str:
    """`1 event`, `3 events`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
