"""`relay export`: a filter or a span of time -> events, or webhooks with all that came of them, as lines of JSON."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from relay.cli import NotDone
from relay.cli.desk import AnyDesk, Place, place_options
from relay.cli.filters import filtered
from relay.cli.options import asynchronous
from relay.cli.output import note, reader_gone
from relay.operations.desk import Operation
from relay.operations.documents.encoding import encode
from relay.operations.documents.listing import Listing
from relay.operations.export import EXPORT, EXPORT_WEBHOOKS, Export, ExportWebhooks
from relay.operations.which import Which
from relay.printable import printable

PAGE = 100  # events, or webhooks, asked for at once


@click.command("export")
@filtered
@click.option("--webhooks", is_flag=True, help="Webhooks instead: bodies, events, deliveries and attempts.")
@place_options
@asynchronous
async def export(wanted: Which, webhooks: bool, place: Place) -> None:
    """Print stored events, a line of JSON each, oldest first.

    A line is the event as targets receive it. --webhooks prints webhooks instead, with their bodies, events, deliveries
    and attempts, as an archive holds them, and takes --since and --until alone: all that there is of a span, also what
    could not be read. However much it is, it takes little memory and holds up nobody.

    \b
    relay export --since 2h
    relay export --entity leads --since 2026-11-01 --until 2026-12-01
    relay export --webhooks --since 1d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if wanted.filter() != wanted.filter().of_events():
        raise click.UsageError("events are exported whatever became of them: leave the filters of deliveries out")
    if webhooks and wanted != Which(since=wanted.since, until=wanted.until):
        raise click.UsageError("--webhooks takes --since and --until alone")
    async with place.desk() as desk:
        corrupt = await (_webhooks(desk, wanted.since, wanted.until) if webhooks else _events(desk, wanted))
    if corrupt:
        raise NotDone(f"left out {corrupt} that are corrupt, see relay verify")


async def _webhooks(desk: AnyDesk, since: datetime | None, until: datetime | None) -> int:
    async for each in _every(desk, EXPORT_WEBHOOKS, ExportWebhooks(since=since, until=until, limit=PAGE)):
        click.echo(printable(encode(each).decode()))
    return 0


async def _events(desk: AnyDesk, wanted: Which) -> int:
    """Return how many are corrupt: they are left out."""
    corrupt = 0
    asked = Export(
        entity=wanted.entity,
        action=wanted.action,
        id=wanted.id,
        pipeline=wanted.pipeline,
        source=wanted.source,
        account=wanted.account,
        since=wanted.since,
        until=wanted.until,
        limit=PAGE,
    )
    async for each in _every(desk, EXPORT, asked):
        if each.corrupt:
            corrupt += 1
        else:
            click.echo(printable(encode(each.event).decode()))
    return corrupt


async def _every(desk: AnyDesk, operation: Operation[Any, Listing[Any]], asked: Any) -> AsyncIterator[Any]:
    """Each row of a listing, page by page, until its end or that of the reader."""
    while not reader_gone():
        page = await desk.ask(operation, asked)
        for each in page.data:
            yield each
        for each in page.notes:
            note(each)
        if page.next is None:
            return
        asked = replace(asked, after=page.next)
