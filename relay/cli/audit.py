"""`relay audit`: the store's audit -> a table for people, JSON for programs."""

from datetime import datetime

import click

from relay.cli.desk import Place, place_options, print_listing, put_rest
from relay.cli.flag_types import Whole
from relay.cli.options import LINES, ListingCommand, asynchronous, listing_json_option
from relay.cli.output import cell, note, print_document, put, table
from relay.cli.times import Instant, Times, check_span
from relay.errors import BadCursor
from relay.operations.audits import AUDIT, Audit


@click.command("audit", cls=ListingCommand)
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@click.option("--who", metavar="NAME", help="Only by this person or program.")
@click.option("--command", metavar="COMMAND", help="Only of this kind: replay, pause, purge, ….")
@click.option("--since", type=Instant(), metavar="TIME", help="Done then or later: 10:00, yesterday, 2h, …")
@click.option("--until", type=Instant(), metavar="TIME", help="Done before then.")
@click.option("--before", metavar="CURSOR", help="Page on: the cursor below the page before.")
@place_options
@listing_json_option
@asynchronous
async def audit(
    limit: int,
    who: str | None,
    command: str | None,
    since: datetime | None,
    until: datetime | None,
    before: str | None,
    place: Place,
    as_json: str | None,
) -> None:
    """List what operators did, newest first.

    Replays, reparses, pauses, purges by hand and backups: when, who, which options, and how many things it concerned.

    \b
    relay audit
    relay audit --limit 1 --json
    relay audit --who olga --command replay --since yesterday
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    check_span(since, until, "nothing is done")
    asked = Audit(limit=limit, who=who, command=command, since=since, until=until, before=before)
    try:
        async with place.desk() as desk:
            found = await desk.ask(AUDIT, asked)
    except BadCursor as bad:
        raise click.BadParameter(str(bad), param_hint="--before") from bad
    acts = found.data
    if as_json:
        if as_json == LINES:
            print_listing(found, as_json, "--before")
        else:
            print_document(acts)
        return
    times = Times(each.at for each in acts)
    shown = table(times.heading("WHEN"), "WHO", "COMMAND", "COUNT", "ASKED", right=("COUNT",), folds=("WHO", "ASKED"))
    for each in acts:
        shown.add_row(times.cell(each.at), cell(each.who), cell(each.command), cell(each.count), cell(each.asked))
    if acts:
        put(shown)
        put_rest(found, "--before")
    else:
        note(
            "nothing was done by hand that fits"
            if who or command or since or until or before
            else "nothing was done by hand"
        )
