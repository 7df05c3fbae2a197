"""`relay show`: an id -> the webhook as it came, its events, their deliveries and every attempt."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_plus

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone, documents
from relay.cli.filters import named
from relay.cli.options import asynchronous, json_option, store_option, visiting
from relay.cli.screen import cell, console, inset, json_text, length, print_json, rfc3339, state, table
from relay.model import State, Webhook
from relay.store.contract import AttemptRecord, DeliveryRecord, EventRecord


@click.command("show")
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body alone, byte for byte.")
@store_option
@json_option
@asynchronous
async def show(id_: str, raw: bool, store_path: Path, as_json: bool) -> None:
    r"""Show one webhook: its events, deliveries and every attempt.

    ID is a webhook's or an event's, or as much of its start as is needed to tell it from others. An event's id shows
    the webhook it came in.

    \b
    relay show 01998f2e-7d3a-7c31
    relay show 01998f2e-7d3a-7c31 --raw > body.form
    """
    async with visiting(store_path) as store:
        record, _ = await named(store, id_)
    if raw:
        _print_raw(record.webhook.body)
    elif as_json:
        print_json(documents.whole(record))
    else:
        screen, now = console(), datetime.now(UTC)
        _print_webhook(screen, record.webhook, now)
        for event in record.events:
            _print_event(screen, event, now)


def _print_raw(body: bytes) -> None:
    if sys.stdout.isatty() and not body.decode(errors="replace").isprintable():
        raise NotDone("the body could steer your terminal: send it to a file or a pipe, relay show ID --raw > body")
    click.echo(body, nl=False)


# ---- the webhook


def _print_webhook(screen: Console, webhook: Webhook, now: datetime) -> None:
    facts = table("", "")
    for name, value in _facts(webhook, now):
        facts.add_row(cell(name, "dim"), value)
    screen.print(facts)
    screen.print(inset(cell(readable(webhook.body)), 4))


def _facts(webhook: Webhook, now: datetime) -> list[tuple[str, Text]]:
    arrived = f"{rfc3339(webhook.received_at)}, {length(now - webhook.received_at)} ago"
    facts = [
        ("webhook", cell(webhook.id, "bold")),
        ("arrived", cell(arrived)),
        ("source", cell(webhook.source)),
        ("request id", cell(webhook.request_id or "-")),
        ("body", cell(f"{len(webhook.body)} bytes, {webhook.content_type or 'no content type'}")),
    ]
    return [*facts, ("unparsed", cell(webhook.unparsed, "red"))] if webhook.unparsed is not None else facts


def readable(body: bytes) -> str:
    """A body for reading, not exact: a form as one `key=value` a line, unquoted; anything else as its text."""
    text = body.decode(errors="backslashreplace").strip()
    return text if text[:1] in ("{", "[") else "\n".join(map(unquote_plus, text.split("&")))


# ---- its events


def _print_event(screen: Console, event: EventRecord, now: datetime) -> None:
    screen.print(Text.assemble("\n", ("event    ", "dim"), (event.id, "bold")))
    screen.print(inset(cell(json_text(documents.parsed(event))), 4))
    if not event.deliveries:
        screen.print(inset("owed to no target"))
    for delivery in event.deliveries:
        screen.print(inset(_standing(delivery, now)))
        if delivery.attempts:
            screen.print(inset(_attempts(delivery.attempts), 4))


def _standing(delivery: DeliveryRecord, now: datetime) -> Text:
    """`warehouse  pending: attempt 3 in 4 min  (routes offer-made)`."""
    more = _more(delivery, now)
    return Text.assemble(
        cell(delivery.target, "bold"),
        "  ",
        state(delivery.state),
        cell(f": {more}" if more else ""),
        cell(f"  (routes {', '.join(delivery.routes)})", "dim"),
    )


def _more(delivery: DeliveryRecord, now: datetime) -> str:
    if delivery.state is not State.PENDING:
        return delivery.why
    if delivery.claimed:
        return f"attempt {delivery.attempt} is being made"
    if delivery.due_at is None:
        return "an older one goes first"
    if delivery.due_at <= now:
        return f"attempt {delivery.attempt + 1} is due"
    return f"attempt {delivery.attempt + 1} in {length(delivery.due_at - now)}, {rfc3339(delivery.due_at)}"


def _attempts(attempts: Sequence[AttemptRecord]) -> Table:
    """Number, when, how long, what followed, why."""
    shown = table("", "", "", "", "", "", right=())
    for each in attempts:
        status = "" if each.status is None else each.status
        shown.add_row(
            cell(each.number),
            cell(rfc3339(each.started_at)),
            cell(length(each.took)),
            state(each.verdict),
            cell(f"{each.reason} {status}".rstrip()),
            cell(each.detail),
        )
    return shown
