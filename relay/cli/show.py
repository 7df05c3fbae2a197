"""`relay show`: an id -> the webhook as it came, its events, their deliveries and every attempt."""

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

import click
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import block, cell, json_text, labelled, print_document, put, state, table
from relay.cli.times import local, short
from relay.model.event_names import as_line
from relay.model.webhooks import HEAL
from relay.operations.documents.webhooks import (
    AttemptDocument,
    DeliveryHistoryDocument,
    EventHistoryDocument,
    WebhookDocument,
)
from relay.operations.durations import ago, length
from relay.operations.masking import MASK
from relay.operations.webhooks import WEBHOOK, Shown
from relay.printable import printable


@click.command("show")
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body alone, byte for byte.")
@place_options
@json_option
@asynchronous
async def show(id_: str, raw: bool, place: Place, as_json: bool) -> None:
    """Show one webhook: its events, deliveries and every attempt.

    ID is a webhook's or an event's, or a start of it that no other has. An event's id shows
    the webhook it came in.

    \b
    relay show 01998f2e-7d3a-7c31
    relay show 01998f2e-7d3a-7c31 --raw > body.form
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        found = await desk.ask(WEBHOOK, Shown(id=id_))
    if raw:
        _print_raw(found.webhook.bytes_of_body())
    elif as_json:
        print_document(found)
    else:
        _print_webhook(found.webhook, found.as_of)
        for event in found.events:
            _print_event(event)
        if found.raw:
            put("", Text.assemble(("as it came  ", "dim"), cell(found.raw.id, "bold")))
            _print_deliveries(found.raw.deliveries)


def _print_raw(body: bytes) -> None:
    if sys.stdout.isatty() and not body.decode(errors="replace").isprintable():
        raise NotDone("the body could steer your terminal: write it to a file or a pipe, relay show ID --raw > body")
    click.echo(body, nl=False)


# ---- the webhook


def _print_webhook(webhook: WebhookDocument, now: datetime) -> None:
    facts = table("name", "value", folds=("value",), headed=False)
    for name, value in _facts(webhook, now):
        facts.add_row(cell(name, "dim"), value)
    put(facts)
    put(block(readable(webhook.bytes_of_body())), indent=4)


def _facts(webhook: WebhookDocument, now: datetime) -> list[tuple[str, Text]]:
    arrived = f"{local(webhook.received_at)}, {ago(now - webhook.received_at)}"
    facts = [
        ("webhook", cell(webhook.id, "bold")),
        ("found" if webhook.kind == HEAL else "arrived", cell(arrived)),
        ("source", cell(webhook.source)),
        ("request id", cell(webhook.request_id or "-")),
        ("trace id", cell(webhook.trace_id)),
        *((name, cell(value)) for name, value in (("query", webhook.query), ("signature", webhook.signature)) if value),
        ("body", cell(f"{webhook.size} bytes, {webhook.content_type or 'no content type'}")),
    ]
    if webhook.kind == HEAL:
        facts.append(("healed", cell("it never came: made of what the account's own history tells", "yellow")))
    if webhook.unparsed is not None:
        facts.append(("unparsed", cell(webhook.unparsed, "red")))
    if webhook.corrupt:
        facts.append(("corrupt", cell("not the body that arrived, see relay verify", "red")))
    return facts


def readable(body: bytes) -> str:
    """A body for reading, not exact: a form as one `key=value` a line, unquoted; anything else as its text."""
    text = body.decode(errors="backslashreplace").strip()
    if text[:1] in ("{", "["):
        return printable(text, keep="\n")
    return "\n".join(printable(unquote_plus(pair)) for pair in text.split("&"))


# ---- its events


def _print_event(shown: EventHistoryDocument) -> None:
    put("", Text.assemble(("event    ", "dim"), cell(shown.id, "bold")))
    if shown.corrupt:
        put(cell("corrupt: not the JSON that was stored, see relay verify", "red"), indent=4)
    else:
        put(block(json_text(shown.event)), indent=4)
        if named := as_line(shown.names):
            put(labelled("in amoCRM", named, "dim"), indent=4)
    _print_enriched(shown)
    if not shown.deliveries:
        put("no deliveries", indent=2)
    _print_deliveries(shown.deliveries)


def _print_enriched(shown: EventHistoryDocument) -> None:
    if shown.enriched_reason:
        put(labelled("enriched", f"with nothing: {shown.enriched_reason}", "yellow"), indent=4)
    if shown.enriched is not None:
        found = {name: each for name, each in shown.enriched.items() if name != "at"}
        at = str(shown.enriched["at"])
        when = "" if at == MASK else f" at {short(datetime.fromisoformat(at))}"
        put(labelled("enriched", f"with what amoCRM had{when}", "dim"), indent=4)
        put(block(json_text(found)), indent=4)


def _print_deliveries(deliveries: Sequence[DeliveryHistoryDocument]) -> None:
    for delivery in deliveries:
        put(_delivery(delivery), indent=2)
        if delivery.attempts:
            put(_attempts(delivery.attempts), indent=4)


def _delivery(delivery: DeliveryHistoryDocument) -> Text:
    """`warehouse  pending: attempt 3 in 4 min  (routes offer-made; replayed once)`."""
    more = delivery.why or delivery.next_step
    return Text.assemble(
        cell(delivery.target, "bold"),
        "  ",
        state(delivery.state),
        cell(f": {more}" if more else ""),
        cell(f"  (routes {', '.join(delivery.routes)}{_replayed(delivery.replays)})", "dim"),
    )


def _replayed(times: int) -> str:
    if times == 0:
        return ""
    return "; replayed once" if times == 1 else f"; replayed {times} times"


def _attempts(attempts: Sequence[AttemptDocument]) -> Table:
    columns = ("number", "started", "took", "verdict", "reason", "detail")
    shown = table(*columns, right=("number", "took"), folds=("detail",), headed=False)
    for each in attempts:
        status = "" if each.status is None else each.status
        shown.add_row(
            cell(each.number),
            short(each.started_at),
            length(timedelta(seconds=each.took)),
            state(each.verdict),
            cell(f"{each.reason} {status}".rstrip()),
            cell(each.detail),
        )
    return shown
