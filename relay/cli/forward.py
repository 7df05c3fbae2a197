"""`relay forward`: the events of a running relay -> a POST of each to a developer's machine, and a line about it."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.text import Text

from relay.cli.admin_stream import follow
from relay.cli.flag_types import Address, web_address
from relay.cli.known_names import TargetName
from relay.cli.options import admin_option, asynchronous, elsewhere, relay_option
from relay.cli.output import SHORTEST, cell, counted, is_wide, note, put, reader_gone, width
from relay.cli.routes_file import config_option, config_or_none, load_with_stand_ins
from relay.cli.store import names_folder
from relay.delivery.send import Sender
from relay.errors import TemplateFailed
from relay.http.client import plain_client
from relay.model import Event, Format, Json, Outcome, Reason, Target
from relay.operations.durations import length
from relay.operations.forward import event_of, forwarded, forwarding_target
from relay.routes.diagnostics import Unfit
from relay.routes.match_text import compile_match

PATH = "/-/forward"

_http_url = web_address("http://127.0.0.1:3000/hook")


def developer_url(text: str) -> str:
    """An http or https URL without a user, as it is; anything else is misuse."""
    url = _http_url(text)
    if "@" in urlsplit(url).netloc:
        raise click.BadParameter("a user or password in the URL would not be sent: leave it out")
    return url


def match(text: str, config_path: Path) -> Callable[[Event], bool]:
    """`{entity: leads, action: [status, add]}`, as in a route of that file; without the file, no names."""
    try:
        fits, warnings = compile_match(text, config_or_none(config_path), names_folder())
    except Unfit as unfit:
        said = f"{unfit}; write it as in a route, like '{{entity: leads, action: add}}'"
        raise click.BadParameter(said, param_hint="--match") from None
    for warning in warnings:
        note(f"warning: --match {text}: {warning}")
    return fits


@click.command("forward")
@click.argument("url", type=developer_url, metavar="URL")
@click.option(
    "--target",
    "name",
    type=TargetName(),
    metavar="NAME",
    help="Only what is routed to this target, as it would get it.",
)
@click.option("--match", "wanted", metavar="MATCH", help="Only events that fit, written as in a route.")
@admin_option("The private listener of the relay; with RELAY_ADMIN_TOKEN or RELAY_TOKEN.")
@relay_option
@config_option
@asynchronous
async def forward(
    url: str, name: str | None, wanted: str | None, admin: Address, relay_url: str | None, config_path: Path
) -> None:
    """Post live events to a developer's machine, beside their targets.

    Each event that the running relay stores from now on is posted to URL once, with the header relay-forwarded: true:
    as JSON or, with --target, in the format of that target in the routes file, without its secrets. Nothing is
    stored, retried or settled by it. What comes too fast to be forwarded is left out and counted. Ctrl-C ends it.

    \b
    relay forward http://127.0.0.1:3000/hook
    relay forward http://127.0.0.1:3000/hook --match '{action: [status, add]}'
    relay forward http://127.0.0.1:3000/hook --match '{stage: Продажи/Оффер}'
    relay forward http://127.0.0.1:3000/hook --target warehouse
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    target = (
        Target(name="", url=url) if name is None else forwarding_target(load_with_stand_ins(config_path), name, url)
    )
    fits = match(wanted, config_path) if wanted is not None else None
    counts: Counter[str] = Counter()
    sender = Sender(clock=_now, new_client=plain_client)
    try:
        async for document in follow(admin, PATH, _query(name, target), relay=elsewhere(relay_url, "admin")):
            await _take(document, target, fits, sender, counts)
            if reader_gone():
                return
    finally:
        await sender.close()
        if counts:
            note(_summary(counts))


def _now() -> datetime:
    return datetime.now(UTC)


def _query(name: str | None, target: Target) -> dict[str, str]:
    if name is None:
        return {}
    return {"target": name} | ({"originals": "1"} if target.format is Format.FORM else {})


async def _take(
    document: dict[str, Json],
    target: Target,
    fits: Callable[[Event], bool] | None,
    sender: Sender,
    counts: Counter[str],
) -> None:
    """Forward one event, and print how it went; or print why there is none."""
    if document["what"] != "event":
        counts["missed"] += document.get("number", 1)
        put(_without_request(document))
        return
    if fits:
        event = event_of(document)
        if event is None or not fits(event):
            return
    try:
        outcome = await sender.send(forwarded(document, target, now=_now()), timeout=target.timeout)
    except TemplateFailed as error:
        outcome = Outcome(reason=Reason.TEMPLATE, started_at=_now(), took=timedelta(), detail=str(error))
    counts["forwarded" if outcome.reason is Reason.OK else "failed"] += 1
    put(_line(document, outcome))


# ---- lines


def _line(document: dict[str, Json], outcome: Outcome) -> Text:
    """`12:00:00  200         019ab000-0001-7000  leads.status 4831596  12 ms`."""
    good = outcome.reason is Reason.OK
    id_ = document["event"]
    more = f"{length(outcome.took)}{'' if good or not outcome.detail else f': {outcome.detail}'}"
    return _clipped(
        _time(document),
        cell(f"{outcome.status or outcome.reason:<10}", "green" if good else "red"),
        cell(id_ if is_wide() else id_[:SHORTEST], "dim"),
        cell(" ".join(filter(None, (document["type"], document["entity_id"])))),
        cell(more, "dim"),
    )


def _without_request(document: dict[str, Json]) -> Text:
    missed = document["what"] == "missed"
    said = f"{document['number']} more, which came too fast to be forwarded" if missed else document.get("detail", "")
    return _clipped(_time(document), cell(f"{document['what']:<10}", "yellow"), cell(said))


def _time(document: dict[str, Json]) -> Text:
    return cell(f"{datetime.fromisoformat(document['at']).astimezone():%H:%M:%S}", "dim")


def _clipped(*cells: Text) -> Text:
    line = Text("  ").join(cells)
    line.truncate(width(), overflow="ellipsis")
    return line


def _summary(counts: Counter[str]) -> str:
    """`3 events forwarded, 1 failed, 7 missed`."""
    parts = [f"{counted(counts['forwarded'], 'event')} forwarded"]
    return ", ".join([*parts, *(f"{counts[word]} {word}" for word in ("failed", "missed") if counts[word])])
