"""`relay explain`: a body or a stored event -> what each route checked, and the requests its targets would get."""

import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import block, cell, json_text, print_document, put
from relay.cli.output import table as columns
from relay.errors import NotFoundError
from relay.model import Json, entity_id
from relay.operations import lookup
from relay.operations.documents.routes import (
    EventExplanationDocument,
    ExplanationDocument,
    RouteExplanationDocument,
)
from relay.operations.routes import EXPLAIN, Explain
from relay.os_errors import permission_problem


@click.command("explain")
@click.argument("body", metavar="BODY|-|ID")
@click.option("--source", metavar="NAME", help="Where the body came in, if the routes file has several sources.")
@click.option("--query", metavar="QUERY", default="", help="The query of the address it came to: try=1.")
@place_options
@json_option
@asynchronous
async def explain(body: str, source: str | None, query: str, place: Place, as_json: bool) -> None:
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
    content = _content(body)
    query = query.removeprefix("?")
    if content is not None:
        found = await _explained(place, _of_body(content, source, query))
    elif query:
        raise click.UsageError("--query is for a body: a webhook in the store has its own")
    else:
        found = await _of_store(place, body)
    if as_json:
        print_document(found)
    elif found.raw:
        _print_raw(found.raw)
    else:
        for number, each in enumerate(found.events):
            put(*[""] * bool(number))
            _print(each)


async def _explained(place: Place, asked: Explain) -> ExplanationDocument:
    async with place.desk(stored=asked.id is not None) as desk:
        return await desk.ask(EXPLAIN, asked)


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


def _of_body(content: bytes, source: str | None, query: str) -> Explain:
    try:
        return Explain(body=content.decode(), source=source, query=query)
    except UnicodeDecodeError:
        return Explain(body_base64=b64encode(content).decode(), source=source, query=query)


async def _of_store(place: Place, id_: str) -> ExplanationDocument:
    if not lookup.is_start(id_):
        raise NotFoundError(f"no such file, and no such id in the store: {id_[:80]!r}")
    try:
        return await _explained(place, Explain(id=id_))
    except NotFoundError as error:
        raise NotFoundError(f"no such file, and {error}") from None


# ---- for people


def _print_raw(found: Json) -> None:
    put(Text.assemble(cell("unparsed", "bold"), cell(f"  from {found['source']}: {found['unparsed']}", "dim")))
    takers = ", ".join(each["route"] for each in found["routes"] if each["matched"] is True)
    put(cell(f"sent on as it came, by {takers}"), indent=2)
    _print_requests(found["requests"])


def _print(found: EventExplanationDocument) -> None:
    event = found.event
    about = f"{event['type']} {entity_id(event['action'], event['data'])}".rstrip()
    put(Text.assemble(cell(about, "bold"), cell(f"  from {event['source']}  {event['id']}", "dim")))
    put(block(json_text(event["data"])), indent=4)
    for explanation in found.routes:
        put(_verdict(explanation), indent=2)
        if explanation.checks:
            put(_checks(explanation), indent=4)
    if not found.requests:
        put("\nIt goes nowhere.")
    for name in found.dropped:
        put("", Text.assemble(cell(name, "bold"), cell("  gets no healed event: heal is drop", "yellow")))
    _print_requests(found.requests)


def _verdict(found: RouteExplanationDocument) -> Text:
    """`offer-made  takes it: sales-bot, warehouse`."""
    why = ", as no other route does" if found.otherwise else ""
    if found.matched:
        takes = cell(f"takes it{why}: {', '.join(found.targets)}", "green")
    else:
        takes = cell(_why_not(found), "dim")
    return Text.assemble(cell(found.route, "bold"), "  ", takes)


def _why_not(found: RouteExplanationDocument) -> str:
    if found.stopped:
        return f"is stopped: {found.stopped}"
    if found.unparsed:
        return "takes only unparsed webhooks"
    return "not needed: another route takes it" if found.otherwise else "does not take it"


def _checks(found: RouteExplanationDocument) -> Table:
    shown = columns("held", "field", "wanted", "is", folds=("wanted", "is"), headed=False)
    for each in found.checks:
        shown.add_row(
            cell("held", "green") if each.held else cell("not", "red"),
            cell(each.field),
            cell(f"wanted {each.condition}"),
            cell(f"is {', '.join(each.values) or 'empty'}" if each.values else "is absent"),
        )
    return shown


def _print_requests(requests: Sequence[Json]) -> None:
    for request in requests:
        if failed := request.get("failed"):
            put("", Text.assemble(cell(request["target"], "bold"), cell(f"  cannot be rendered, {failed}", "red")))
            continue
        through = f" through {request['proxy']}" if request["proxy"] else ""
        line = f"  {request['method']} {request['url']}{through}"
        put("", Text.assemble(cell(request["target"], "bold"), cell(line)))
        put(
            *(cell(f"{name}: {value}") for name, value in request["headers"].items()),
            "",
            cell(request["body"]),
            indent=4,
        )
