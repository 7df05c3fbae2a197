"""`relay attempts`: a filter -> attempts by their time, with what each returned."""

from datetime import datetime, timedelta

import click

from relay.cli.desk import Place, listed, place_options, print_listing, put_rest
from relay.cli.errors_shown import answer
from relay.cli.filters import reason_option
from relay.cli.flag_types import Whole, written_duration
from relay.cli.known_names import TargetName
from relay.cli.options import ListingCommand, asynchronous, listing_json_option
from relay.cli.output import cell, clipped, is_wide, note, put, starts, state, table
from relay.cli.times import Instant, Times, check_span
from relay.errors import BadCursor
from relay.model import Reason
from relay.operations.attempts import ATTEMPTS, Attempts
from relay.operations.documents.attempts import MadeAttemptDocument
from relay.operations.documents.listing import Listing
from relay.operations.durations import length


@click.command("attempts", cls=ListingCommand)
@click.option("--failed", is_flag=True, help="Only those that did not deliver.")
@click.option("--target", type=TargetName(), metavar="NAME", help="Attempts at this target.")
@reason_option("Those that ended so")
@click.option("--slower", type=written_duration, metavar="DURATION", help="Those that took longer: 500ms, 2s, 5m.")
@click.option("--since", type=Instant(), metavar="TIME", help="Began then or later: 10:00, yesterday, 2h, …")
@click.option("--until", type=Instant(), metavar="TIME", help="Began before then.")
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Page on: the cursor below the page before.")
@place_options
@listing_json_option
@asynchronous
async def attempts(
    failed: bool,
    target: str | None,
    reason: Reason | None,
    slower: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: str | None,
    place: Place,
    as_json: str | None,
) -> None:
    """List attempts, newest first: what failed and why, and what was slow.

    Times are those at which attempts began, not those of the events' arrival.

    \b
    relay attempts --failed --since 10:00 --until 11:00
    relay attempts --target warehouse --since 1h
    relay attempts --slower 2s --since yesterday
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    check_span(since, until, "no attempt begins")
    asked = Attempts(
        failed=failed, target=target, reason=reason, slower=slower, since=since, until=until, before=before
    )
    try:
        async with place.desk() as desk:
            found = await listed(desk, ATTEMPTS, asked, limit)
    except BadCursor as bad:
        raise click.BadParameter(str(bad), param_hint="--before") from bad
    if as_json:
        print_listing(found, as_json, "--before")
        return
    _print(found, "no attempt failed" if failed and not slower else "no attempts")
    put_rest(found, "--before")


def _print(found: Listing[MadeAttemptDocument], none: str) -> None:
    if not found.data:
        note(none)
        return
    ids = {} if is_wide() else starts([each.event for each in found.data])
    times = Times(each.attempt.started_at for each in found.data)
    columns = (times.heading("STARTED"), "EVENT", "ID", "TARGET", "ATTEMPT", "TOOK", "VERDICT", "ANSWER")
    shown = table(*columns, right=("ATTEMPT", "TOOK"), folds=("EVENT", "TARGET", "ANSWER"))
    for each in found.data:
        shown.add_row(
            cell(times.cell(each.attempt.started_at)),
            cell(f"{clipped(each.type)} {clipped(each.entity_id)}".rstrip()),
            cell(ids.get(each.event, each.event)),
            cell(each.target),
            cell(each.attempt.number),
            cell(length(timedelta(seconds=each.attempt.took))),
            state(each.attempt.verdict),
            cell(answer(each.attempt)),
        )
    put(shown)
