"""`relay explain`: a body or a stored event -> what each route checked, and the requests its targets would get."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone
from relay.cli.options import json_option
from relay.cli.output import block, cell, json_text, print_json, put
from relay.cli.output import table as columns
from relay.cli.routes_file import config_option, load_with_stand_ins
from relay.cli.store import store_option, visiting
from relay.errors import NotFoundError
from relay.model.enrich import Enrichment
from relay.operations import lookup, route_views
from relay.operations.explain import (
    EventExplanation,
    RawExplanation,
    RouteExplanation,
    explain_body,
    explain_stored,
)
from relay.operations.lookup import Found
from relay.operations.shown_requests import ShownRequest
from relay.os_errors import permission_problem
from relay.routes.config import Config
from relay.routes.match import Route
from relay.store.open import StoreUrl


@click.command("explain")
@click.argument("body", metavar="BODY|-|ID")
@click.option("--source", metavar="NAME", help="Where the body came in, if the routes file has several sources.")
@click.option("--query", metavar="QUERY", default="", help="The query of the address it came to: try=1.")
@config_option
@store_option
@json_option
def explain(body: str, source: str | None, query: str, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Show where a webhook would go, and why; send nothing.

    BODY is a file with the body of a webhook, form or JSON; - reads it from standard input. Or give the ID of an
    event or a webhook in the store, as relay list shows it. Every route is listed with the conditions that held
    and those that did not, then the exact request that each target would get, with secrets as ***. A body that cannot
    be read is shown as routes with `unparsed: true` send it on.

    \b
    relay explain body.form
    relay show 01998f2e-7d3a-7c31 --raw | relay explain -
    relay explain 01998f2e-7d3a-7c31
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path, stop_routes=False)
    content = _content(body)
    now = datetime.now(UTC)
    if content is not None:
        source = _source(config, source)
        found = explain_body(config, content, source=source, query=query.removeprefix("?"), now=now)
    elif query.removeprefix("?"):
        raise click.UsageError("--query is for a body: a webhook in the store has its own")
    else:
        found = explain_stored(config, *asyncio.run(_stored(store_url, body)), now=now)
    if as_json:
        print_json(route_views.explanation(found))
    elif isinstance(found, RawExplanation):
        _print_raw(found)
    else:
        for number, each in enumerate(found):
            put(*[""] * bool(number))
            _print(each)


# ---- what to explain


def _content(body: str) -> bytes | None:
    """The content of the file; None if there is no such file."""
    if body == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(body).read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and (why := permission_problem(Path(body))):
            raise NotDone(why) from None
        raise NotDone(f"cannot read {body[:80]!r}: {getattr(error, 'strerror', None) or error}") from None


def _source(config: Config, given: str | None) -> str:
    known = ", ".join(config.sources)
    if given is None and len(config.sources) != 1:
        raise click.UsageError(f"say where the body came in: --source, one of {known or '(the file has no sources)'}")
    name = next(iter(config.sources)) if given is None else given
    if name not in config.sources:
        raise click.BadParameter(f"no source {name!r} (known: {known})", param_hint="--source")
    return name


async def _stored(store_url: StoreUrl, id_: str) -> tuple[Found, Mapping[str, Enrichment]]:
    """The webhook or event, and what was fetched beside its events."""
    if not lookup.is_start(id_):
        raise NotFoundError(f"no such file, and no such id in the store: {id_[:80]!r}")
    async with visiting(store_url) as store:
        try:
            found = await lookup.show(store, id_)
        except NotFoundError as error:
            raise NotFoundError(f"no such file, and {error}") from None
        return found, await lookup.fetched(store, found.record.events)


# ---- for people


def _print_raw(found: RawExplanation) -> None:
    put(Text.assemble(cell("unparsed", "bold"), cell(f"  from {found.source}: {found.unparsed}", "dim")))
    put(cell(f"sent on as it came, by {', '.join(found.matched)}"), indent=2)
    _print_requests(found.requests)


def _print(found: EventExplanation) -> None:
    event = found.event
    put(
        Text.assemble(
            cell(f"{event.type} {event.entity_id}".rstrip(), "bold"), cell(f"  from {event.source}  {event.id}", "dim")
        )
    )
    put(block(json_text(event.data)), indent=4)
    for explanation in found.routes:
        put(_verdict(explanation), indent=2)
        if explanation.checks:
            put(_checks(explanation), indent=4)
    if not found.requests:
        put("\nIt goes nowhere.")
    for name in found.dropped:
        put("", Text.assemble(cell(name, "bold"), cell("  gets no healed event: heal is drop", "yellow")))
    _print_requests(found.requests)


def _verdict(explanation: RouteExplanation) -> Text:
    """`offer-made  takes it: sales-bot, warehouse`."""
    route = explanation.route
    why = ", as no other route does" if route.otherwise else ""
    if explanation.matched:
        takes = cell(f"takes it{why}: {', '.join(route.targets)}", "green")
    else:
        takes = cell(_why_not(route), "dim")
    return Text.assemble(cell(route.name, "bold"), "  ", takes)


def _why_not(route: Route) -> str:
    if route.unparsed:
        return "takes only unparsed webhooks"
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


def _print_requests(requests: Sequence[ShownRequest]) -> None:
    for request in requests:
        if request.failed:
            put("", Text.assemble(cell(request.target, "bold"), cell(f"  cannot be rendered, {request.failed}", "red")))
            continue
        through = f" through {request.proxy}" if request.proxy else ""
        put("", Text.assemble(cell(request.target, "bold"), cell(f"  {request.method} {request.url}{through}")))
        put(*(cell(f"{name}: {value}") for name, value in request.headers.items()), "", cell(request.body), indent=4)
