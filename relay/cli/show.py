"""`relay show`: an id -> the webhook as it came, its events, their deliveries and every attempt."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_plus

import click
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone, documents
from relay.cli.filters import named
from relay.cli.next_step import Scene, outlook
from relay.cli.options import asynchronous, config_option, json_option, store_option, targets_now, visiting
from relay.cli.output import block, cell, json_text, length, print_json, put, state, table
from relay.cli.times import local, short
from relay.model import Webhook
from relay.printable import printable
from relay.store.contract import AttemptRecord, DeliveryRecord, EventRecord


@click.command("show")
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body alone, byte for byte.")
@config_option
@store_option
@json_option
@asynchronous
async def show(id_: str, raw: bool, config_path: Path, store_path: Path, as_json: bool) -> None:
    """Show one webhook: its events, deliveries and every attempt.

    ID is a webhook's or an event's, or as much of its start as is needed to tell it from others. An event's id shows
    the webhook it came in.

    \b
    relay show 01998f2e-7d3a-7c31
    relay show 01998f2e-7d3a-7c31 --raw > body.form
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_path) as store:
        record, _ = await named(store, id_)
        status = await store.status()
    if raw:
        _print_raw(record.webhook.body)
    elif as_json:
        print_json(documents.whole(record, status))
    else:
        scene = Scene(now=datetime.now(UTC), status=status, routed=targets_now(config_path))
        _print_webhook(record.webhook, scene.now)
        for event in record.events:
            _print_event(event, scene)
        if record.raw:
            _print_raw_deliveries(record.raw, scene)


def _print_raw(body: bytes) -> None:
    if sys.stdout.isatty() and not body.decode(errors="replace").isprintable():
        raise NotDone("the body could steer your terminal: send it to a file or a pipe, relay show ID --raw > body")
    click.echo(body, nl=False)


# ---- the webhook


def _print_webhook(webhook: Webhook, now: datetime) -> None:
    facts = table("name", "value", folds=("value",), headed=False)
    for name, value in _facts(webhook, now):
        facts.add_row(cell(name, "dim"), value)
    put(facts)
    put(block(readable(webhook.body)), indent=4)


def _facts(webhook: Webhook, now: datetime) -> list[tuple[str, Text]]:
    arrived = f"{local(webhook.received_at)}, {length(now - webhook.received_at)} ago"
    facts = [
        ("webhook", cell(webhook.id, "bold")),
        ("arrived", cell(arrived)),
        ("source", cell(webhook.source)),
        ("request id", cell(webhook.request_id or "-")),
        *((name, cell(value)) for name, value in (("query", webhook.query), ("signature", webhook.signature)) if value),
        ("body", cell(f"{len(webhook.body)} bytes, {webhook.content_type or 'no content type'}")),
    ]
    if webhook.unparsed is not None:
        facts.append(("unparsed", cell(webhook.unparsed, "red")))
    if webhook.corrupt:
        facts.append(("damaged", cell("this is not the body that came, see relay verify", "red")))
    return facts


def readable(body: bytes) -> str:
    """A body for reading, not exact: a form as one `key=value` a line, unquoted; anything else as its text."""
    text = body.decode(errors="backslashreplace").strip()
    if text[:1] in ("{", "["):
        return printable(text, keep="\n")
    return "\n".join(printable(unquote_plus(pair)) for pair in text.split("&"))


# ---- its events


def _print_event(event: EventRecord, scene: Scene) -> None:
    put("", Text.assemble(("event    ", "dim"), cell(event.id, "bold")))
    if event.corrupt:
        put(cell("damaged: its JSON is not what was kept, see relay verify", "red"), indent=4)
    else:
        put(block(json_text(documents.parsed(event))), indent=4)
    if not event.deliveries:
        put("owed to no target", indent=2)
    _print_deliveries(event, scene)


def _print_raw_deliveries(raw: EventRecord, scene: Scene) -> None:
    put("", Text.assemble(("as it came  ", "dim"), cell(raw.id, "bold")))
    _print_deliveries(raw, scene)


def _print_deliveries(event: EventRecord, scene: Scene) -> None:
    for delivery in event.deliveries:
        put(_standing(delivery, scene), indent=2)
        if delivery.attempts:
            put(_attempts(delivery.attempts), indent=4)


def _standing(delivery: DeliveryRecord, scene: Scene) -> Text:
    """`warehouse  pending: attempt 3 in 4 min  (routes offer-made)`."""
    more = outlook(delivery, scene)
    return Text.assemble(
        cell(delivery.target, "bold"),
        "  ",
        state(delivery.state),
        cell(f": {more}" if more else ""),
        cell(f"  (routes {', '.join(delivery.routes)})", "dim"),
    )


def _attempts(attempts: Sequence[AttemptRecord]) -> Table:
    columns = ("number", "started", "took", "verdict", "reason", "detail")
    shown = table(*columns, right=("number", "took"), folds=("detail",), headed=False)
    for each in attempts:
        status = "" if each.status is None else each.status
        shown.add_row(
            cell(each.number),
            short(each.started_at),
            length(each.took),
            state(each.verdict),
            cell(f"{each.reason} {status}".rstrip()),
            cell(each.detail),
        )
    return shown
