"""`relay status`: targets, intake and the daemon -> a table for people, JSON for programs; once, or again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table

from relay.cli import INSTALLED, NotDone
from relay.cli.desk import Place, place_options
from relay.cli.file_lines import file_lines
from relay.cli.name_lines import name_lines
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, counted, document_line, labelled, note, print_document, print_json, put, reader_gone
from relay.cli.relay_table import relays, shared
from relay.cli.store import spool_option
from relay.cli.subscription_lines import subscriptions
from relay.cli.target_table import deaths, target_table, why_stopped
from relay.cli.times import short
from relay.errors import ConfigurationError, RelayError, StoreBusy
from relay.operations import upkeep, views
from relay.operations.documents.status import MisaddressedDocument, StatusDocument, UnauthorizedDocument
from relay.operations.durations import ago
from relay.operations.health import Level, Verdict, failed
from relay.operations.overview import OVERVIEW
from relay.operations.status import STATUS, Everything
from relay.operations.upkeep import SpoolFile
from relay.printable import printable
from relay.store.open import SqliteUrl
from relay.store.records import COUNTED

WATCH_EVERY = 2.0  # seconds
MEBIBYTE = 1024 * 1024


@click.command("status")
@click.option("--watch", is_flag=True, help=f"Look again every {WATCH_EVERY:g} s, until Ctrl-C.")
@click.option("--check", is_flag=True, help="One line, and 0, 1 or 2 for ok, warning or critical.")
@place_options
@spool_option("Shown if PostgreSQL is away; with a postgresql store only.")
@json_option
@asynchronous
async def status(watch: bool, check: bool, place: Place, spool: Path, as_json: bool) -> None:
    """Show the state of every target, of intake and of the daemon.

    Reads the store: it works whether the daemon runs or not. While a PostgreSQL store is away it shows what the spool
    of this machine holds, and ends with 1.

    --check prints one line, for monitors without Prometheus, and ends with 0 if all is well, 1 if somebody should look,
    2 if webhooks or deliveries do not get through.

    \b
    relay status
    relay status --watch           with what has changed since the last look
    relay status --watch --json    one document a line
    relay status --check
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if check and (watch or as_json):
        raise click.UsageError("--check prints one line: it takes no --watch and no --json")
    if check:
        found = await _checked(place)
        click.echo(printable(found.text))
        click.get_current_context().exit(found.level)
    if click.get_current_context().meta.get(INSTALLED) and not as_json:
        note(f"the relay that systemd runs here: {place.config_path}, {place.store_url}")
    with _spool_instead(place, spool, as_json=as_json):
        # watched, `?` in the table shows each time that the routes file cannot be used
        async with place.desk(noting=not watch) as desk:
            look = partial(desk.ask, STATUS, Everything())
            if watch:
                await watch_on(look, as_json=as_json, pause=lambda: asyncio.sleep(WATCH_EVERY))
            elif as_json:
                print_document(await look())
            else:
                _show(await look(), None)


async def _checked(place: Place) -> Verdict:
    """What a store or a relay that cannot be asked means is for the monitor, too."""
    try:
        async with place.desk() as desk:
            seen = await desk.ask(OVERVIEW, Everything())
    except (RelayError, NotDone) as error:
        return failed(str(error))
    return Verdict(level=Level[seen.level.upper()], line=seen.line)


@contextmanager
def _spool_instead(place: Place, spool: Path, *, as_json: bool) -> Iterator[None]:
    """Show the spool if the shared store is away."""
    try:
        yield
    except StoreBusy as error:
        if isinstance(place.store_url, SqliteUrl):
            raise
        try:
            found = upkeep.spool_file(spool)
            shown = _spooled(found) if found else f"no {spool} here"
        except ConfigurationError as unreadable:
            found, shown = None, str(unreadable)
        if as_json:
            print_json({"error": str(error), "spool": found and views.spool_file(found)})
        else:
            put(labelled("spool", shown))
        raise NotDone(str(error)) from error


def _spooled(spool: SpoolFile) -> str:
    since = f" since {short(spool.oldest_at)}" if spool.oldest_at else ""
    refused = f", of which the store refuses {spool.refused}" if spool.refused else ""
    return f"{spool.file}: {counted(spool.webhooks, 'webhook')}{since}{refused}"


async def watch_on(
    look: Callable[[], Awaitable[StatusDocument]],
    *,
    as_json: bool,
    pause: Callable[[], Awaitable[object]],
) -> None:
    """Look and show, with a pause between, until Ctrl-C."""
    before = None
    while not reader_gone():
        seen = await look()
        if as_json:
            click.echo(document_line(seen))
        else:
            click.clear()  # a terminal; into a file or a pipe one look follows the other
            put(cell(f"relay status at {short(seen.at)}, every {WATCH_EVERY:g} s until Ctrl-C", "dim"), "")
            _show(seen, before)
        await pause()
        before = seen


def _show(seen: StatusDocument, before: StatusDocument | None) -> None:
    """`before`: the last look, with which numbers are compared."""
    put(target_table(seen, before) if seen.targets else "no targets")
    if why := [line for each in seen.targets for line in (*why_stopped(each, seen), *deaths(each, seen.at))]:
        put("", *why)
    _show_intake(seen)


def _unrouted(number: int) -> str:
    if not number:
        return "0"
    shown = f"more than {COUNTED:,}" if number > COUNTED else f"{number:,}"
    return f"{shown}, see relay list --unrouted --by type"


def _show_intake(seen: StatusDocument) -> None:
    intake, now, disk = seen.webhooks, seen.at, seen.disk
    last = "never" if intake.last_at is None else f"{short(intake.last_at)}, {ago(now - intake.last_at)}"
    put(
        "",
        labelled("last webhook", last),
        labelled("unparsed", f"{intake.unparsed}{', see relay list --unparsed' if intake.unparsed else ''}"),
        labelled("unrouted", _unrouted(intake.unrouted)),
        *subscriptions(seen),
        *(name_lines(seen.names, now) if seen.names else []),
        *_rejected("misaddressed", intake.misaddressed, intake.misaddressed.address, now, "red"),
        *_rejected("unauthorized", intake.unauthorized, intake.unauthorized.remote, now, "yellow"),
        *_lost(intake.lost),
        *([labelled("disk", f"low: {disk.free // MEBIBYTE} MiB are free", "red")] if disk and disk.low else []),
        *_held_back(seen),
        labelled("daemon", _daemon(seen)),
        *file_lines(seen),
    )
    if shared(seen):
        put("", relays(seen, now))
    if seen.configs > 1:
        put(cell("their routes differ: a delivery of a target that one of them lacks is made by the others", "yellow"))


def _rejected(
    reason: str, report: MisaddressedDocument | UnauthorizedDocument, where: str | None, now: datetime, style: str
) -> Iterator[Table]:
    """How many requests were rejected for this reason, and what was wrong with the last one."""
    if report.count and report.since and report.last_at:
        last = f"the last {ago(now - report.last_at)}"
        yield labelled(reason, f"{report.count} since {short(report.since)}, {last}", style)
        yield labelled("", ": ".join(filter(None, (where, report.detail))))


def _lost(count: int) -> Iterator[Table]:
    if count:
        yield labelled("missing", f"at most {count} that were answered 200, see relay verify", "red")


def _held_back(seen: StatusDocument) -> Iterator[Table]:
    if held := seen.oldest_snapshot:
        yield labelled(
            "vacuum", f"held back since {short(held.since)}, {ago(seen.at - held.since)}, by {held.by}", "yellow"
        )


def _daemon(status: StatusDocument) -> str:
    if status.daemon is None:
        return "not running"
    if len(status.living) > 1:
        return f"{len(status.living)} relays run, see below"
    [living] = status.living
    return f"running, pid {living.pid}{f' on {living.host}' if shared(status) else ''}"
