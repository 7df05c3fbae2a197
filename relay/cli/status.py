"""`relay status`: how targets and webhooks stand -> a table for people, JSON for programs; once, or again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from relay.cli import documents, loaded
from relay.cli.options import (
    asynchronous,
    config_option,
    json_option,
    load_to_look,
    store_option,
    unusable,
    visiting,
    was_given,
)
from relay.cli.output import cell, json_line, labelled, length, note, print_json, put, reader_gone, rfc3339, table
from relay.cli.times import local, short
from relay.errors import RoutesInvalid
from relay.model import Health, Json
from relay.store.contract import Archive, Filter, HealthReport, Status, TargetStatus
from relay.store.disk import MEBIBYTE

WATCH_EVERY = 2.0  # seconds

HEALTH = {Health.OPEN: "held", Health.PROBING: "held, probing"}
"""The breaker's words -> people's; `--json` and the metrics keep the breaker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at the store. `routed`: the targets of the routes file, None if there is none that can be used."""

    at: datetime
    status: Status
    standing: Mapping[str, TargetStatus]
    routed: Mapping[str, object] | None


@click.command("status")
@click.option("--watch", is_flag=True, help=f"Look again every {WATCH_EVERY:g} s, until Ctrl-C.")
@config_option
@store_option
@json_option
@asynchronous
async def status(watch: bool, config_path: Path, store_path: Path, as_json: bool) -> None:
    """Show how targets and webhooks stand.

    Reads the store, so it works whether the daemon runs or not.

    \b
    relay status
    relay status --watch           with what has changed since the look before
    relay status --watch --json    one document a line
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_path) as store:
        if watch:
            targets = partial(_targets_of, config_path, tell=lambda _text: None)  # `?` says it, look after look
            await watch_on(store, targets, as_json=as_json, pause=lambda: asyncio.sleep(WATCH_EVERY))
        elif as_json:
            print_json(_document(await _look(store, _targets_of(config_path))))
        else:
            _show(await _look(store, _targets_of(config_path)), None)


async def watch_on(
    store: Archive,
    targets: Callable[[], Mapping[str, object] | None],
    *,
    as_json: bool,
    pause: Callable[[], Awaitable[object]],
) -> None:
    """Look and show, with a pause between, until Ctrl-C. `targets`: those of the routes file as it is by then."""
    before = None
    while not reader_gone():
        seen = await _look(store, targets())
        if as_json:
            click.echo(json_line({"at": rfc3339(seen.at), **_document(seen)}))
        else:
            click.clear()  # a terminal; into a file or a pipe one look follows the other
            put(cell(f"relay status at {local(seen.at)}, every {WATCH_EVERY:g} s until Ctrl-C", "dim"), "")
            _show(seen, before)
        await pause()
        before = seen


async def _look(store: Archive, routed: Mapping[str, object] | None) -> Seen:
    status = await store.status()
    known = await store.count(Filter()) if routed is None else routed
    standing = {name: status.targets.get(name, TargetStatus()) for name in sorted({*status.targets, *known})}
    return Seen(at=datetime.now(UTC), status=status, standing=standing, routed=routed)


def _targets_of(config_path: Path, tell: Callable[[str], None] = note) -> Mapping[str, object] | None:
    """By name; None if the file cannot be used: how things stand must be seen all the more then."""
    if not was_given("config_path") and not config_path.exists():
        tell(f"no {config_path} here")
        return None
    try:
        return load_to_look(config_path).targets
    except RoutesInvalid as invalid:
        tell(unusable(config_path, invalid))
        return None


def _document(seen: Seen) -> dict[str, Json]:
    running = seen.status.owner is not None
    targets = [
        documents.standing(name, each, routed=None if seen.routed is None else name in seen.routed, running=running)
        for name, each in seen.standing.items()
    ]
    return {
        "targets": targets,
        "webhooks": documents.intake(seen.status),
        "disk": seen.status.disk and documents.disk(seen.status.disk),
        "daemon": seen.status.owner,
        "files": loaded.document(seen.status),
    }


def _show(seen: Seen, before: Seen | None) -> None:
    """`before`: what changes are told against."""
    targets = table(
        "TARGET", "PENDING", "DEAD", "OLDEST", "STATE", "IN ROUTES", right=("PENDING", "DEAD"), folds=("TARGET",)
    )
    for name, each in seen.standing.items():
        was = before.standing.get(name, TargetStatus()) if before else each
        targets.add_row(
            cell(name),
            _counted(each.pending, was.pending, "yellow"),
            _counted(each.dead, was.dead, "red"),
            "-" if each.oldest_at is None else length(seen.at - each.oldest_at),
            _state(each, running=seen.status.owner is not None),
            "?" if seen.routed is None else "yes" if name in seen.routed else cell("no longer", "red"),
        )
    put(targets if seen.standing else "no targets")
    if held := [line for name, each in seen.standing.items() for line in _held(name, each, seen)]:
        put("", *held)
    _show_intake(seen.status, seen.at)


def _show_intake(status: Status, now: datetime) -> None:
    last = "never" if status.last_at is None else f"{local(status.last_at)}, {length(now - status.last_at)} ago"
    disk = status.disk
    put(
        "",
        labelled("last webhook", last),
        labelled("unparsed", f"{status.unparsed}{', see relay list --unparsed' if status.unparsed else ''}"),
        *_misaddressed(status, now),
        *_lost(status),
        *([labelled("disk", f"low: {disk.free // MEBIBYTE} MiB are free", "red")] if disk and disk.scarce else []),
        labelled("daemon", "not running" if status.owner is None else f"running, pid {status.owner}"),
        *loaded.lines(status),
    )


def _misaddressed(status: Status, now: datetime) -> Iterator[Table]:
    """Requests that were meant for us and came to a wrong address: what was wrong with the last one."""
    said = documents.misaddressed(status)
    if said["count"]:
        since, last = (datetime.fromisoformat(said[name]) for name in ("since", "last_at"))
        told = ": ".join(filter(None, (said["address"], said["detail"])))
        ago = length(now - last)
        yield labelled("misaddressed", f"{said['count']} since {short(since)}, the last {ago} ago", "red")
        yield labelled("", told)


def _lost(status: Status) -> Iterator[Table]:
    if status.losses:
        count = sum(loss.count for loss in status.losses)
        yield labelled("missing", f"at most {count} that were answered 200, see relay verify", "red")


def _counted(number: int, before: int, style: str) -> Text:
    """`12`, or `12 -3` where there were 15 at the last look."""
    change = cell(f" {number - before:+}", "dim") if number != before else ""
    return Text.assemble(cell(number, style if number else ""), change)


def _state(standing: TargetStatus, *, running: bool) -> Text:
    """`paused`, or what the daemon says; if it does not run, what it said last."""
    if standing.pause:
        return cell("paused", "yellow")
    if standing.condition is None:
        return cell("-")
    health = HEALTH.get(standing.condition.health, standing.condition.health.value)
    as_of = "" if running else f", as of {short(standing.condition.as_of)}"
    return cell(f"{health}{as_of}", "" if standing.condition.health is Health.OK else "red")


def _held(name: str, standing: TargetStatus, seen: Seen) -> Iterator[Text]:
    """Why its deliveries wait: who paused it, and what it answers while the daemon holds it."""
    if pause := standing.pause:
        reason = f": {pause.reason}" if pause.reason else ""
        yield cell(f"{name} was paused {length(seen.at - pause.at)} ago by {pause.who}{reason}")
    condition = standing.condition
    if condition and condition.health is not Health.OK:
        yield cell(f"{name} is held since {short(condition.since)}: {condition.error}")
        if seen.status.owner is not None and not standing.pause:
            yield cell(f"{name} {_next_probe(condition, seen.at)}")


def _next_probe(condition: HealthReport, now: datetime) -> str:
    if condition.probe_at is None:
        return "is being asked now whether it is back"
    if condition.probe_at <= now:
        return "is asked next with the first delivery that falls due"
    return f"is asked next at {short(condition.probe_at)}, in {length(condition.probe_at - now)}"
