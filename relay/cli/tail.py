"""`relay tail`: the documents of a running relay -> a line for each event and attempt, as they happen."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import click
from rich.text import Text

from relay.cli.admin_stream import follow
from relay.cli.flag_types import Address
from relay.cli.known_names import TargetName
from relay.cli.options import admin_option, asynchronous, elsewhere, relay_option
from relay.cli.output import SHORTEST, STYLES, cell, is_wide, json_line, put, reader_gone, width
from relay.model import Json, VerdictName
from relay.operations.durations import length

INDENT = 10  # columns, of a second line

OF_ALL = {"missed", "fault"}
NOT_DELIVERED = {VerdictName.RETRY, VerdictName.DEAD, "refused", "unparsed", *OF_ALL}


@click.command("tail")
@click.option(
    "--target",
    "targets",
    type=TargetName(),
    multiple=True,
    metavar="NAME",
    help="Attempts at this target only; repeatable.",
)
@click.option("--failed", is_flag=True, help="Only what was refused, unparsed, or failed.")
@admin_option("The private listener of the relay; with RELAY_ADMIN_TOKEN or RELAY_TOKEN.")
@relay_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line, for programs.")
@asynchronous
async def tail(targets: Sequence[str], failed: bool, admin: Address, relay_url: str | None, as_json: bool) -> None:
    """Follow webhooks, events and attempts as they happen.

    Asks the running relay, and waits for it if it is restarted. Ctrl-C ends it.

    \b
    relay tail
    relay tail --failed --target warehouse
    relay tail --json | jq 'select(.what == "attempt")'
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async for document in follow(admin, "/-/tail", relay=elsewhere(relay_url, "admin")):
        word = _word(document)
        other = targets and document.get("target") not in targets and word not in OF_ALL
        if other or (failed and word not in NOT_DELIVERED):
            continue
        if as_json:
            click.echo(json_line(document))
        else:
            _show(word, document)
        if reader_gone():
            return


# ---- lines


def _word(document: dict[str, Json]) -> str:
    """`event`, `unparsed`, …; for an attempt its verdict."""
    return str(document["verdict"] if document["what"] == "attempt" else document["what"])


def _show(word: str, document: dict[str, Json]) -> None:
    """On one line or, where a terminal is too narrow for that, with a second line below it."""
    what, more = _described(word, document)
    id_ = str(document.get("event") or document.get("webhook") or "")
    line = Text.assemble(
        cell(f"{datetime.fromisoformat(document['at']).astimezone():%H:%M:%S}", "dim"),
        "  ",
        cell(f"{word:<9}", STYLES.get(word, "")),
        "  ",
        cell(f"{id_ if is_wide() else id_[:SHORTEST]:<{36 if is_wide() else SHORTEST}}", "dim"),
        "  ",
        cell(what),
    )
    whole = Text.assemble(line, "  ", more) if more else line
    if is_wide() or whole.cell_len <= width():
        put(_clipped(whole, width()))
    else:
        put(_clipped(line, width()))
        put(_clipped(more, width() - INDENT), indent=INDENT)


def _clipped(text: Text, columns: int) -> Text:
    text.truncate(columns, overflow="ellipsis")
    return text


def _described(word: str, document: dict[str, Json]) -> tuple[str, Text]:
    """What it is about, and more about it."""
    about = " ".join(filter(None, (document.get("type", ""), document.get("entity_id", ""))))
    match document["what"]:
        case "event":
            return about, _dim(f"routes {', '.join(document['routes'])}" if document["routes"] else "no route took it")
        case "attempt":
            return f"{about} → {document['target']}", _dim(_outcome(word, document))
        case "unparsed":
            return f"source {document['source']}", _dim(document["unparsed"])
        case "duplicate":
            return about or f"source {document['source']}", _dim("stored before under this id")
        case "refused":
            parts = filter(None, (document.get("address"), document["detail"]))
            return f"{document['outcome']} from {document['remote'] or 'an unknown address'}", _dim(": ".join(parts))
        case "probe":
            return f"source {document['source']}", _dim(f"an empty body from {document['remote']}, not stored")
        case "missed":
            return f"{document['number']} more, which came too fast to be shown", _dim("")
        case "fault":
            return "the relay cannot show what happened", _dim(document["detail"])
        case _:
            return json_line(document), _dim("")


def _dim(text: str) -> Text:
    return cell(text, "dim")


def _outcome(word: str, document: dict[str, Json]) -> str:
    """`attempt 2, 503 in 12 ms, again in 3.9 s: busy`."""
    took = length(timedelta(seconds=document["took"]))
    parts = [f"attempt {document['attempt']}"] if document["attempt"] > 1 else []
    parts.append(f"{document['status'] or document['reason']} in {took}")
    if word == VerdictName.RETRY:
        pause = datetime.fromisoformat(document["due_at"]) - datetime.fromisoformat(document["at"])
        parts.append(f"again in {length(max(pause, timedelta()))}")
    if document["replay"]:
        parts.append("a replay")
    names = {VerdictName.DEAD: ("why", "detail"), VerdictName.RETRY: ("detail",)}.get(VerdictName(word), ())
    return ": ".join(filter(None, (", ".join(parts), *(document[name] for name in names))))
