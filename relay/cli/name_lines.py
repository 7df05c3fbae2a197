"""What is known of the names in the routes file -> lines of `relay status`."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from relay.cli.output import labelled
from relay.cli.times import short
from relay.operations.documents.status import NamesDocument
from relay.operations.durations import ago


def name_lines(known: NamesDocument, now: datetime) -> Iterator[Table]:
    """A line for each account, each name that is outdated, and each route that is stopped."""
    for account, at in known.as_of.items():
        age = "not asked for here yet: relay names" if at is None else f"of {short(at)}, {ago(now - at)}"
        yield labelled("names", f"{account}: {age}")
    for line in known.outdated:
        yield labelled("", line, "yellow")
    for route, why in known.stopped_routes.items():
        yield labelled("stopped", f"route {route}: {why}; what it may take waits", "red")
