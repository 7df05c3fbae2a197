"""`relay list`: deliveries, unparsed webhooks, or events that no route took -> a table or, for programs, JSON."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
from rich.table import Table
from rich.text import Text

from relay.amocrm import events
from relay.cli import delivery_table
from relay.cli.desk import Place, listed, place_options, put_rest
from relay.cli.filters import dismissed_option, filtered, state_option
from relay.cli.flag_types import Whole
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, clipped, is_wide, note, print_document, print_json, put, starts, table
from relay.cli.routes_file import config_or_none
from relay.cli.store import visiting
from relay.cli.times import Times
from relay.errors import BadCursor
from relay.model import Event, State, Webhook
from relay.model.event_names import as_line
from relay.operations import lookup, views
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.documents.listing import Listing
from relay.operations.unknown_names import unknown_names
from relay.operations.which import Which
from relay.store.records import EventRecord, Page

T = TypeVar("T")


@click.command("list")
@state_option(*State, text="pending, delivered or dead; may be repeated.")
@filtered
@dismissed_option
@click.option("--unparsed", is_flag=True, help="Unparsed webhooks instead, oldest first.")
@click.option("--unrouted", is_flag=True, help="Events that no route took instead, oldest first.")
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Page on in deliveries: the cursor below the page before.")
@click.option("--after", metavar="CURSOR", help="The same for --unparsed and --unrouted.")
@place_options
@json_option
@asynchronous
async def list_(
    states: Sequence[str],
    wanted: Which,
    dismissed: bool,
    unparsed: bool,
    unrouted: bool,
    limit: int,
    before: str | None,
    after: str | None,
    place: Place,
    as_json: bool,
) -> None:
    """List deliveries, or what is unparsed or unrouted.

    Deliveries are listed newest first. --unparsed lists webhooks that could not be read instead, --unrouted events that
    no route took when they arrived: both oldest first. What is dead and dismissed is listed with the rest, or alone by
    --dismissed.

    \b
    relay list --state dead
    relay list --state pending --target warehouse --since 2h
    relay list --entity leads --id 4831596
    relay list --unparsed
    relay list --dismissed --since 7d
    relay list --unrouted --entity contacts --since 1d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if dismissed and unrouted:
        raise click.UsageError("--dismissed is for deliveries and for --unparsed")
    wanted = replace(wanted, state=tuple(map(State, states)))
    _check_options(wanted, unparsed=unparsed, unrouted=unrouted, before=before, after=after)
    try:
        if not unparsed and not unrouted:
            async with place.desk() as desk:
                asked = Deliveries(**asdict(replace(wanted, dismissed=dismissed or None)), before=before)
                found = await listed(desk, DELIVERIES, asked, limit)
            _print_deliveries(found, wanted, as_json)
            return
        async with visiting(place.store_url) as store:
            if unparsed:
                _print_unparsed(await lookup.unparsed(store, limit=limit, after=after, dismissed=dismissed), as_json)
                return
            page = await lookup.unrouted(store, wanted.filter(), limit=limit, after=after)
            _print_unrouted(page, place.config_path, as_json=as_json)
            if not page and not as_json:
                for unknown in await unknown_names(store, wanted.filter(), config_or_none(place.config_path)):
                    note(unknown)
    except BadCursor as bad:
        raise click.BadParameter(str(bad), param_hint="--before" if after is None else "--after") from bad


def _check_options(wanted: Which, *, unparsed: bool, unrouted: bool, before: str | None, after: str | None) -> None:
    if unparsed and (unrouted or wanted != Which() or before is not None):
        raise click.UsageError("--unparsed lists webhooks: of the other options it takes --limit and --after alone")
    if unrouted and (wanted.state or wanted.target or wanted.route or before is not None):
        raise click.UsageError("--unrouted lists events: it takes no --state, --target, --route and --before")
    if after is not None and not unparsed and not unrouted:
        raise click.UsageError("--after is for --unparsed and --unrouted: page through deliveries with --before")


def _print_deliveries(found: Listing[DeliveryDocument], wanted: Which, as_json: bool) -> None:
    if as_json:
        print_document(found)
        return
    if found.data:
        delivery_table.show(found.data, hide_state=len(set(wanted.state)) == 1)
    else:
        note("no deliveries")
    put_rest(found, "--before")


def _put_cursor(page: Page[T], option: str) -> None:
    if page.next is not None:
        note(f"more: {option} {page.next}")


def _print_unparsed(page: Page[Webhook], as_json: bool) -> None:
    if as_json:
        print_json(views.page(page, views.webhook))
        return
    times = Times(each.received_at for each in page)
    shown = table("ID", times.heading("ARRIVED"), "SOURCE", "BYTES", "UNPARSED", right=("BYTES",), folds=("UNPARSED",))
    ids = starts([each.id for each in page])
    for each in page:
        shown.add_row(
            cell(each.id if is_wide() else ids[each.id]),
            times.cell(each.received_at),
            cell(each.source),
            cell(len(each.body)),
            cell(each.unparsed),
        )
    _put_page(shown, page, none="nothing is unparsed")


def _print_unrouted(page: Page[EventRecord], config_path: Path, *, as_json: bool) -> None:
    config = config_or_none(config_path) if page else None
    names = lookup.names_in(page, config.event_names) if config else {}
    if as_json:
        print_json(views.page(page, partial(views.event, names=names)))
        return
    found = [None if each.corrupt else events.load(each.payload) for each in page]
    times = Times(event.received_at for event in found if event)
    columns = ["ID", times.heading("ARRIVED"), "SOURCE", "EVENT", *(["IN AMOCRM"] if names else [])]
    shown = table(*columns, folds=("SOURCE", "EVENT", "IN AMOCRM"))
    ids = starts([each.id for each in page])
    for each, event in zip(page, found, strict=True):
        more = [cell(as_line(names.get(each.id, {})))] if names else []
        shown.add_row(cell(each.id if is_wide() else ids[each.id]), *_event_cells(event, times), *more)
    _put_page(shown, page, none="no event is unrouted")


def _put_page(shown: Table, page: Page[T], *, none: str) -> None:
    if page:
        put(shown)
    else:
        note(none)
    _put_cursor(page, "--after")


def _event_cells(event: Event | None, times: Times) -> tuple[Text, Text, Text]:
    if event is None:
        return cell("-"), cell("-"), cell("corrupt, see relay verify", "red")
    about = f"{clipped(event.entity)}.{clipped(event.action)} {clipped(event.entity_id)}".rstrip()
    return cell(times.cell(event.received_at)), cell(event.source), cell(about)
