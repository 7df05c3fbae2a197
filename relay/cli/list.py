"""`relay list`: deliveries, unparsed webhooks, or events that no route took -> a table or, for programs, JSON."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TypeVar

import click
from rich.table import Table
from rich.text import Text

from relay.cli import delivery_table
from relay.cli.desk import Place, listed, place_options, print_listing, put_rest
from relay.cli.filters import dismissed_option, filtered, state_option
from relay.cli.flag_types import Whole
from relay.cli.options import ListingCommand, asynchronous, listing_json_option
from relay.cli.output import cell, clipped, is_wide, note, put, starts, table
from relay.cli.times import Times
from relay.errors import BadCursor
from relay.model import State
from relay.model.event_names import as_line
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.documents.events import RefusedDocument, UnroutedDocument, UnroutedListing
from relay.operations.documents.listing import Listing
from relay.operations.documents.webhooks import WebhookDocument
from relay.operations.refused import REFUSED, Refused
from relay.operations.unrouted import UNROUTED, Unrouted
from relay.operations.webhooks import UNPARSED, Unparsed
from relay.operations.which import Which

T = TypeVar("T")


@click.command("list", cls=ListingCommand)
@state_option(*State, text="pending, delivered or dead; may be repeated.")
@filtered
@dismissed_option
@click.option("--unparsed", is_flag=True, help="Unparsed webhooks instead, oldest first.")
@click.option("--unrouted", is_flag=True, help="Events that no route took instead, oldest first.")
@click.option("--by", type=click.Choice(["type"]), metavar="type", help="With --unrouted: how many of each type.")
@click.option("--refused", is_flag=True, help="Requests that were not answered with 2xx instead, by minute.")
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@click.option(
    "--before", metavar="CURSOR", help="Page on in deliveries or --refused: the cursor below the page before."
)
@click.option("--after", metavar="CURSOR", help="The same for --unparsed and --unrouted.")
@place_options
@listing_json_option
@asynchronous
async def list_(
    states: Sequence[str],
    wanted: Which,
    dismissed: bool,
    unparsed: bool,
    unrouted: bool,
    by: str | None,
    refused: bool,
    limit: int,
    before: str | None,
    after: str | None,
    place: Place,
    as_json: str | None,
) -> None:
    """List deliveries, or what is unparsed, unrouted or refused.

    Deliveries are listed newest first, with the error of their last attempt. --unparsed lists webhooks that could not
    be read instead, --unrouted events that no route took when they arrived: both oldest first. --refused lists requests
    that were not answered with 2xx, a line for each minute, source and reason. Of a long history a look takes 80 ms,
    says how far back it searched, and goes on by its cursor. What is dead and dismissed is listed with the rest, or
    alone by --dismissed.

    \b
    relay list --state dead
    relay list --state pending --target warehouse --since 2h
    relay list --entity leads --id 4831596
    relay list --unparsed
    relay list --target warehouse --reason timeout --settled-since 10:00
    relay list --dismissed --since 7d
    relay list --unrouted --entity contacts --since 1d
    relay list --unrouted --by type
    relay list --refused --since 1d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if dismissed and (unrouted or refused):
        raise click.UsageError("--dismissed is for deliveries and for --unparsed")
    wanted = replace(wanted, state=tuple(map(State, states)))
    _check_options(wanted, unparsed=unparsed, unrouted=unrouted, by=by, refused=refused, before=before, after=after)
    try:
        async with place.desk() as desk:
            if unparsed:
                asked_unparsed = Unparsed(after=after, dismissed=dismissed, body_bytes=None if as_json else 0)
                _print_unparsed(await listed(desk, UNPARSED, asked_unparsed, limit), as_json)
            elif refused:
                _print_refused(await listed(desk, REFUSED, _refused(wanted, before), limit), as_json)
            elif by:
                _print_types(await desk.ask(UNROUTED, replace(_unrouted(wanted, None), by="type")), as_json)
            elif unrouted:
                _print_unrouted(await listed(desk, UNROUTED, _unrouted(wanted, after), limit), as_json)
            else:
                asked = Deliveries(**asdict(replace(wanted, dismissed=dismissed or None)), before=before)
                _print_deliveries(await listed(desk, DELIVERIES, asked, limit), wanted, as_json)
    except BadCursor as bad:
        raise click.BadParameter(str(bad), param_hint="--before" if after is None else "--after") from bad


def _check_options(
    wanted: Which,
    *,
    unparsed: bool,
    unrouted: bool,
    by: str | None,
    refused: bool,
    before: str | None,
    after: str | None,
) -> None:
    if unparsed and (unrouted or refused or wanted != Which() or before is not None):
        raise click.UsageError("--unparsed lists webhooks: of the other options it takes --limit and --after alone")
    if refused and (unrouted or after is not None or wanted != _of_refused(wanted)):
        raise click.UsageError("--refused lists requests: it takes --source, --since, --until, --limit and --before")
    if unrouted and (before is not None or wanted.filter() != wanted.filter().of_events()):
        raise click.UsageError("--unrouted lists events: it takes no --before, and nothing that narrows deliveries")
    if by and (not unrouted or after is not None):
        raise click.UsageError("--by type counts what --unrouted would list: it goes with that, and without --after")
    if after is not None and not unparsed and not unrouted:
        raise click.UsageError("--after is for --unparsed and --unrouted: page through deliveries with --before")


def _of_refused(wanted: Which) -> Which:
    return Which(source=wanted.source, since=wanted.since, until=wanted.until)


def _refused(wanted: Which, before: str | None) -> Refused:
    return Refused(source=wanted.source, since=wanted.since, until=wanted.until, before=before)


def _unrouted(wanted: Which, after: str | None) -> Unrouted:
    return Unrouted(
        entity=wanted.entity,
        action=wanted.action,
        id=wanted.id,
        pipeline=wanted.pipeline,
        source=wanted.source,
        account=wanted.account,
        since=wanted.since,
        until=wanted.until,
        after=after,
    )


def _print_deliveries(found: Listing[DeliveryDocument], wanted: Which, as_json: str | None) -> None:
    if as_json:
        print_listing(found, as_json, "--before")
        return
    if found.data:
        delivery_table.show(found.data, hide_state=len(set(wanted.state)) == 1)
    else:
        note("no deliveries")
    put_rest(found, "--before")


def _print_unparsed(found: Listing[WebhookDocument], as_json: str | None) -> None:
    if as_json:
        print_listing(found, as_json, "--after")
        return
    times = Times(each.received_at for each in found.data)
    shown = table("ID", times.heading("ARRIVED"), "SOURCE", "BYTES", "UNPARSED", right=("BYTES",), folds=("UNPARSED",))
    ids = starts([each.id for each in found.data])
    for each in found.data:
        shown.add_row(
            cell(each.id if is_wide() else ids[each.id]),
            times.cell(each.received_at),
            cell(each.source),
            cell(each.size),
            cell(each.unparsed),
        )
    if found.data:
        put(shown)
    else:
        note("nothing is unparsed")
    put_rest(found, "--after")


def _print_unrouted(found: UnroutedListing, as_json: str | None) -> None:
    if as_json:
        print_listing(found, as_json, "--after")
        return
    if found.data:
        put(_unrouted_table(found.data))
    else:
        note("no event is unrouted")
    put_rest(found, "--after")


def _unrouted_table(found: Sequence[UnroutedDocument]) -> Table:
    times = Times(each.received_at for each in found if each.received_at)
    named = any(each.names for each in found)
    columns = ["ID", times.heading("ARRIVED"), "SOURCE", "EVENT", *(["IN AMOCRM"] if named else [])]
    shown = table(*columns, folds=("SOURCE", "EVENT", "IN AMOCRM"))
    ids = starts([each.id for each in found])
    for each in found:
        more = [cell(as_line(each.names))] if named else []
        shown.add_row(cell(each.id if is_wide() else ids[each.id]), *_event_cells(each, times), *more)
    return shown


def _print_types(found: UnroutedListing, as_json: str | None) -> None:
    if as_json:
        print_listing(found, as_json, "--until", found.types)
        return
    times = Times(each.last_at for each in found.types)
    shown = table("TYPE", "EVENTS", times.heading("FIRST"), times.heading("LAST"), right=("EVENTS",), folds=("TYPE",))
    for each in found.types:
        at = (cell(times.cell(each.first_at)), cell(times.cell(each.last_at)))
        shown.add_row(cell(clipped(each.type)), cell(each.count), *at)
    if found.types:
        put(shown)
    else:
        note("no event is unrouted")
    put_rest(found, "--until")


def _print_refused(found: Listing[RefusedDocument], as_json: str | None) -> None:
    if as_json:
        print_listing(found, as_json, "--before")
        return
    times = Times(each.minute for each in found.data)
    columns = (times.heading("MINUTE"), "SOURCE", "REASON", "REQUESTS", "THE LAST")
    shown = table(*columns, right=("REQUESTS",), folds=("SOURCE", "THE LAST"))
    for each in found.data:
        last = ": ".join(filter(None, (each.address or each.remote, each.detail)))
        minute = cell(times.cell(each.minute))
        shown.add_row(minute, cell(each.source), cell(each.reason), cell(each.count), cell(last))
    if found.data:
        put(shown)
    else:
        note("no request was refused")
    put_rest(found, "--before")


def _event_cells(event: UnroutedDocument, times: Times) -> tuple[Text, Text, Text]:
    if event.received_at is None:
        return cell("-"), cell("-"), cell("corrupt, see relay verify", "red")
    about = f"{clipped(event.type)} {clipped(event.entity_id)}".rstrip()
    return cell(times.cell(event.received_at)), cell(event.source), cell(about)
