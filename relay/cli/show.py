"""`relay show`: an id -> the webhook as it came, its events, their deliveries and every attempt."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_plus

import click
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone
from relay.cli.options import asynchronous, json_option
from relay.cli.output import block, cell, json_text, labelled, print_json, put, state, table
from relay.cli.routes_file import config_option, config_or_none
from relay.cli.store import store_option, visiting
from relay.cli.times import local, short
from relay.model import Webhook
from relay.model.enrich import Enrichment
from relay.model.event_names import as_line
from relay.model.trace import trace_id
from relay.model.webhooks import HEAL
from relay.operations import clock, lookup, status, views
from relay.operations.durations import ago, length
from relay.operations.next_step import Situation, next_step
from relay.printable import printable
from relay.store.open import StoreUrl
from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord


@click.command("show")
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body alone, byte for byte.")
@config_option
@store_option
@json_option
@asynchronous
async def show(id_: str, raw: bool, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Show one webhook: its events, deliveries and every attempt.

    ID is a webhook's or an event's, or a start of it that no other has. An event's id shows
    the webhook it came in.

    \b
    relay show 01998f2e-7d3a-7c31
    relay show 01998f2e-7d3a-7c31 --raw > body.form
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_url) as store:
        record = (await lookup.show(store, id_)).record
        fetched = await lookup.fetched(store, record.events)
        stored, now = await status.read(store), clock.now(store)
    if raw:
        _print_raw(record.webhook.body)
        return
    config = config_or_none(config_path)
    names = lookup.names_in(record.events, config.event_names) if config else {}
    if as_json:
        print_json(views.webhook_record(record, stored, names, fetched))
    else:
        situation = Situation(now=now, status=stored, routed=config.targets if config else None)
        _print_webhook(record.webhook, situation.now)
        for event in record.events:
            _print_event(event, situation, as_line(names.get(event.id, {})), fetched.get(event.id))
        if record.raw:
            _print_raw_deliveries(record.raw, situation)


def _print_raw(body: bytes) -> None:
    if sys.stdout.isatty() and not body.decode(errors="replace").isprintable():
        raise NotDone("the body could steer your terminal: write it to a file or a pipe, relay show ID --raw > body")
    click.echo(body, nl=False)


# ---- the webhook


def _print_webhook(webhook: Webhook, now: datetime) -> None:
    facts = table("name", "value", folds=("value",), headed=False)
    for name, value in _facts(webhook, now):
        facts.add_row(cell(name, "dim"), value)
    put(facts)
    put(block(readable(webhook.body)), indent=4)


def _facts(webhook: Webhook, now: datetime) -> list[tuple[str, Text]]:
    arrived = f"{local(webhook.received_at)}, {ago(now - webhook.received_at)}"
    facts = [
        ("webhook", cell(webhook.id, "bold")),
        ("found" if webhook.kind == HEAL else "arrived", cell(arrived)),
        ("source", cell(webhook.source)),
        ("request id", cell(webhook.request_id or "-")),
        ("trace id", cell(trace_id(webhook.trace))),
        *((name, cell(value)) for name, value in (("query", webhook.query), ("signature", webhook.signature)) if value),
        ("body", cell(f"{len(webhook.body)} bytes, {webhook.content_type or 'no content type'}")),
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


def _print_event(event: EventRecord, situation: Situation, named: str, fetched: Enrichment | None) -> None:
    put("", Text.assemble(("event    ", "dim"), cell(event.id, "bold")))
    if event.corrupt:
        put(cell("corrupt: not the JSON that was stored, see relay verify", "red"), indent=4)
    else:
        put(block(json_text(views.payload(event))), indent=4)
        if named:
            put(labelled("in amoCRM", named, "dim"), indent=4)
    if fetched:
        _print_fetched(fetched)
    if not event.deliveries:
        put("no deliveries", indent=2)
    _print_deliveries(event, situation)


def _print_fetched(found: Enrichment) -> None:
    if found.value is None:
        put(labelled("enriched", f"with nothing: {found.reason}", "yellow"), indent=4)
    else:
        put(labelled("enriched", f"with what amoCRM had at {short(found.at)}", "dim"), indent=4)
        put(block(json_text(found.value)), indent=4)


def _print_raw_deliveries(raw: EventRecord, situation: Situation) -> None:
    put("", Text.assemble(("as it came  ", "dim"), cell(raw.id, "bold")))
    _print_deliveries(raw, situation)


def _print_deliveries(event: EventRecord, situation: Situation) -> None:
    for delivery in event.deliveries:
        put(_delivery(delivery, situation), indent=2)
        if delivery.attempts:
            put(_attempts(delivery.attempts), indent=4)


def _delivery(delivery: DeliveryRecord, situation: Situation) -> Text:
    """`warehouse  pending: attempt 3 in 4 min  (routes offer-made; replayed once)`."""
    more = next_step(delivery, situation)
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
