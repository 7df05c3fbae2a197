"""`relay explain`: a body or an event -> each route with what held, and the requests its targets would get."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from rich.table import Table
from rich.text import Text
from uuid_utils import uuid7

from relay.amocrm import events, form
from relay.cli import NotDone
from relay.cli.filters import is_start, named
from relay.cli.options import config_option, json_option, load_to_look, store_option, visiting
from relay.cli.output import block, cell, json_text, print_json, put
from relay.cli.output import table as columns
from relay.delivery.payload import Sent, original, with_query
from relay.delivery.request import render, render_raw
from relay.denied import denied
from relay.errors import UnreadableError
from relay.http.request import Request, as_sent
from relay.model import Delivery, Event, Format, Json, Target, Webhook
from relay.routes.config import Config
from relay.routes.explain import RouteExplanation
from relay.routes.explain import explain as explain_routes
from relay.routes.match import Route
from relay.store.contract import EventRecord, WebhookRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The request a target would get, as it may be seen: what is secret in it is `***`."""

    target: str
    url: str
    headers: Mapping[str, str]
    body: str


@click.command("explain")
@click.argument("body", metavar="BODY|-|ID")
@click.option("--source", metavar="NAME", help="Where the body came in, if the routes file has several sources.")
@click.option("--query", metavar="QUERY", default="", help="The query of the address it came to: try=1.")
@config_option
@store_option
@json_option
def explain(body: str, source: str | None, query: str, config_path: Path, store_path: Path, as_json: bool) -> None:
    """Show where a webhook would go, and why; send nothing.

    BODY is a file with the body of a webhook, form or JSON; - reads it from standard input. Or give the ID of an
    event or a webhook in the store, as relay list shows it. Every route is listed with what held and what did not,
    then the exact request that each target would get, with secrets as ***. Of a body that cannot be read that is what
    routes with `unparsed: true` send on.

    \b
    relay explain body.form
    relay show 01998f2e-7d3a-7c31 --raw | relay explain -
    relay explain 01998f2e-7d3a-7c31
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_to_look(config_path)
    content = _content(body)
    query = query.removeprefix("?")
    if content is not None:
        webhook = Webhook(
            id="", source=_source(config, source), received_at=datetime.now(UTC), body=content, query=query
        )
    elif query:
        raise click.UsageError("--query is for a body: a webhook in the store has its own")
    else:
        record, chosen = asyncio.run(_kept(store_path, body))
        webhook = record.webhook
    try:
        # of an unparsed one those that would be made of it now
        found = _events(webhook) if content is not None or webhook.unparsed is not None else _made(record, chosen)
    except UnreadableError as error:
        _explain_raw(config, replace(webhook, unparsed=str(error)), as_json)
        return
    explained = [(event, explain_routes(config, event), _requests(config, event, sent)) for event, sent in found]
    if as_json:
        print_json({"events": [_document(*each) for each in explained]})
    else:
        for number, each in enumerate(explained):
            put(*[""] * bool(number))
            _print(*each)


# ---- what to explain


def _content(body: str) -> bytes | None:
    """What is in the file; None if there is no such file."""
    if body == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(body).read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and (said := denied(Path(body))):
            raise NotDone(said) from None
        raise NotDone(f"cannot read {body[:80]!r}: {getattr(error, 'strerror', None) or error}") from None


def _source(config: Config, named_: str | None) -> str:
    known = ", ".join(config.sources)
    if named_ is None and len(config.sources) != 1:
        raise click.UsageError(f"say where the body came in: --source, one of {known or '(the file has no sources)'}")
    name = next(iter(config.sources)) if named_ is None else named_
    if name not in config.sources:
        raise click.BadParameter(f"no source {name!r} (known: {known})", param_hint="--source")
    return name


Found = list[tuple[Event, Sent]]
"""Events, each with what amoCRM sent of it."""


def _events(webhook: Webhook) -> Found:
    """UnreadableError says why there are none."""
    body, content_type = webhook.body, webhook.content_type
    found = events.read(
        form.decode(body, content_type),
        source=webhook.source,
        received_at=webhook.received_at,
        new_id=lambda: str(uuid7()),
        query=webhook.query,
    )
    return [
        (event, Sent(body=original(body, content_type, position=position, of=len(found)), query=webhook.query))
        for position, event in enumerate(found)
    ]


async def _kept(store_path: Path, id_: str) -> tuple[WebhookRecord, Sequence[EventRecord]]:
    """A webhook of the store, and its events that are meant."""
    if not is_start(id_):
        raise NotDone(f"no such file, and no such id in the store: {id_[:80]!r}")
    async with visiting(store_path) as store:
        return await named(store, id_, nor="no such file, and ")


def _made(record: WebhookRecord, chosen: Sequence[EventRecord]) -> Found:
    if record.webhook.corrupt or any(event.corrupt for event in chosen):
        raise NotDone(f"{record.webhook.id} is damaged in the store, see relay verify")
    webhook, of = record.webhook, len(record.events)
    # what went on raw was read since if it comes here: all the events that were made of it
    chosen = [event for event in chosen if event != record.raw] or record.events
    bodies = [
        original(webhook.body, webhook.content_type, position=record.events.index(event), of=of) for event in chosen
    ]
    return [
        (events.load(event.payload), Sent(body=body, query=webhook.query))
        for event, body in zip(chosen, bodies, strict=True)
    ]


# ---- what would be sent


def _requests(config: Config, event: Event, sent: Sent) -> list[Shown]:
    return [_request(config, config.targets[name], event, sent) for name in config.matcher.match(event).targets]


def _request(config: Config, target: Target, event: Event, sent: Sent) -> Shown:
    delivery = _delivery(event.id, target, events.dump(event), event.received_at)
    request = render(delivery, target, now=datetime.now(UTC), sent=sent)
    return _shown(config, target, request, sent.query if target.format is Format.FORM else "")


def _raw_request(config: Config, target: Target, webhook: Webhook) -> Shown:
    delivery = _delivery(str(uuid7()), target, b"", webhook.received_at)
    request = render_raw(delivery, target, webhook, now=datetime.now(UTC))
    return _shown(config, target, request, webhook.query)


def _delivery(event_id: str, target: Target, payload: bytes, at: datetime) -> Delivery:
    return Delivery(
        seq=0,
        event_id=event_id,
        target=target.name,
        attempt=1,
        policy_attempt=1,
        received_at=at,
        pending_since=at,
        payload=payload,
    )


def _shown(config: Config, target: Target, request: Request, query: str) -> Shown:
    secret = {name.lower() for name in target.headers} | {"webhook-signature"}
    return Shown(
        target=target.name,
        url=as_sent(request.url, with_query(config.url_as_written(target.name), query)),
        headers={name: "***" if name.lower() in secret else value for name, value in request.headers.items()},
        body=request.body.decode(errors="backslashreplace"),
    )


# ---- what cannot be read


def _explain_raw(config: Config, webhook: Webhook, as_json: bool) -> None:
    """Where it goes as it came; NotDone, with why it cannot be read, if no route takes such a one."""
    matches = config.matcher.match_unparsed(webhook.source)
    if not matches.targets:
        raise NotDone(f"{webhook.unparsed}; no route with `unparsed: true` takes it")
    requests = [_raw_request(config, config.targets[name], webhook) for name in matches.targets]
    if as_json:
        routes = [
            {"route": route.name, "matched": route.name in matches.routes, "targets": list(route.targets)}
            for route in config.routes
            if route.unparsed
        ]
        raw = {"unparsed": webhook.unparsed, "routes": routes, "requests": [*map(_sent, requests)]}
        print_json({"events": [], "raw": raw})
        return
    put(Text.assemble(cell("unparsed", "bold"), cell(f"  from {webhook.source}: {webhook.unparsed}", "dim")))
    put(cell(f"goes on as it came, by {', '.join(matches.routes)}"), indent=2)
    for request in requests:
        _print_request(request)


# ---- for people


def _print(event: Event, routes: Sequence[RouteExplanation], requests: Sequence[Shown]) -> None:
    put(
        Text.assemble(
            cell(f"{event.type} {event.entity_id}".rstrip(), "bold"), cell(f"  from {event.source}  {event.id}", "dim")
        )
    )
    put(block(json_text(event.data)), indent=4)
    for explanation in routes:
        put(_verdict(explanation), indent=2)
        if explanation.checks:
            put(_checks(explanation), indent=4)
    if not requests:
        put("\nIt goes nowhere.")
    for request in requests:
        _print_request(request)


def _verdict(explanation: RouteExplanation) -> Text:
    """`offer-made  takes it: sales-bot, warehouse`."""
    route = explanation.route
    why = ", as no other route does" if route.otherwise else ""
    if explanation.matched:
        said = cell(f"takes it{why}: {', '.join(route.targets)}", "green")
    else:
        said = cell(_why_not(route), "dim")
    return Text.assemble(cell(route.name, "bold"), "  ", said)


def _why_not(route: Route) -> str:
    if route.unparsed:
        return "takes only what cannot be read"
    return "not needed: another route takes it" if route.otherwise else "does not take it"


def _checks(explanation: RouteExplanation) -> Table:
    shown = columns("held", "field", "wanted", "is", folds=("wanted", "is"), headed=False)
    for each in explanation.checks:
        shown.add_row(
            cell("held", "green") if each.held else cell("not", "red"),
            cell(each.field),
            cell(f"wanted {each.condition}"),
            cell(f"is {', '.join(each.values) or 'empty'}" if each.values else "is absent"),
        )
    return shown


def _print_request(request: Shown) -> None:
    put("", Text.assemble(cell(request.target, "bold"), cell(f"  POST {request.url}")))
    put(*(cell(f"{name}: {value}") for name, value in request.headers.items()), "", cell(request.body), indent=4)


# ---- for programs


def _document(event: Event, routes: Sequence[RouteExplanation], requests: Sequence[Shown]) -> dict[str, Json]:
    return {"event": _parsed(event), "routes": [_route(each) for each in routes], "requests": [*map(_sent, requests)]}


def _parsed(event: Event) -> Json:
    return orjson.loads(events.dump(event))


def _route(explanation: RouteExplanation) -> dict[str, Json]:
    return {
        "route": explanation.route.name,
        "matched": explanation.matched,
        "otherwise": explanation.route.otherwise,
        "unparsed": explanation.route.unparsed,
        "targets": list(explanation.route.targets),
        "checks": [
            {"field": each.field, "condition": each.condition, "values": list(each.values), "held": each.held}
            for each in explanation.checks
        ],
    }


def _sent(request: Shown) -> dict[str, Json]:
    return {
        "target": request.target,
        "url": request.url,
        "headers": dict(request.headers),
        "body": request.body,
    }
