"""`relay status`: targets, intake and the daemon -> a table for people, JSON for programs; once, or again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from relay.cli import INSTALLED, NotDone
from relay.cli.desk import Place, place_options
from relay.cli.name_lines import name_lines
from relay.cli.options import asynchronous, json_option
from relay.cli.output import (
    cell,
    counted,
    document_line,
    labelled,
    note,
    print_document,
    print_json,
    put,
    reader_gone,
    table,
)
from relay.cli.relay_table import called, relays, shared
from relay.cli.store import spool_option
from relay.cli.subscription_lines import subscriptions
from relay.cli.times import short
from relay.errors import ConfigurationError, RelayError, StoreBusy
from relay.model import Health
from relay.operations import upkeep, views
from relay.operations.documents.status import (
    BreakerDocument,
    MisaddressedDocument,
    StatusDocument,
    TargetDocument,
    UnauthorizedDocument,
)
from relay.operations.durations import ago, length
from relay.operations.health import Level, Verdict, failed
from relay.operations.overview import OVERVIEW
from relay.operations.status import STATUS, Everything
from relay.operations.upkeep import SpoolFile
from relay.printable import printable
from relay.store.open import SqliteUrl
from relay.store.records import COUNTED

WATCH_EVERY = 2.0  # seconds
MEBIBYTE = 1024 * 1024

CIRCUIT = {Health.PROBING: "half-open"}
"""States of a circuit as tables name them; `--json` and the metrics keep the breaker's words."""


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
    rates = any(each.breaker and (each.breaker.delivered_at or each.breaker.rate) for each in seen.targets)
    targets = table(
        "TARGET",
        "PENDING",
        "DEAD",
        "OLDEST",
        "STATE",
        "IN ROUTES",
        *(("RATE", "LAST OK") if rates else ()),
        right=("PENDING", "DEAD", "RATE"),
        folds=("TARGET",),
    )
    earlier = {each.target: each for each in before.targets} if before else {}
    for each in seen.targets:
        was = earlier.get(each.target)
        targets.add_row(
            cell(each.target),
            _number(each.pending, was.pending if was else 0 if before else each.pending, "yellow"),
            _number(each.dead, was.dead if was else 0 if before else each.dead, "red"),
            "-" if each.oldest_at is None else length(seen.at - each.oldest_at),
            _state(each, seen),
            _in_routes(each),
            *(_success(each, seen) if rates else ()),
        )
    put(targets if seen.targets else "no targets")
    if stopped := [line for each in seen.targets for line in _why_stopped(each, seen)]:
        put("", *stopped)
    _show_intake(seen)


def _success(target: TargetDocument, seen: StatusDocument) -> tuple[Text, Text]:
    """`2.5/s` within the last minute, and when a delivery got through last."""
    report = target.breaker
    rate = cell("-" if report is None or report.rate is None else f"{report.rate:g}/s")
    at = report and report.delivered_at
    return rate, cell(ago(seen.at - at) if at else "-")


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
        *_files(seen),
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


def _number(number: int, before: int, style: str) -> Text:
    """`12`, or `12 -3` if there were 15 at the last look."""
    change = cell(f" {number - before:+}", "dim") if number != before else ""
    return Text.assemble(cell(number, style if number else ""), change)


def _state(target: TargetDocument, seen: StatusDocument) -> Text:
    """`paused`, or the circuit as the daemon reports it; as of its last report if it does not run.

    `ok, failing`: the last attempt failed, and the circuit is not open yet. `open, idle`: no delivery waits for it.
    """
    if target.paused:
        return cell("paused", "yellow")
    if target.breaker is None:
        return cell("-")
    health, failing = target.breaker.state, target.breaker.error != ""
    state = CIRCUIT.get(health, health.value)
    but = ", failing" if failing and health is Health.OK else ", idle" if target.idle else ""
    as_of = "" if seen.daemon is not None else f", as of {short(target.breaker.as_of)}"
    style = "red" if health is not Health.OK and not target.idle else "yellow" if failing or target.idle else ""
    return cell(f"{state}{but}{as_of}", style)


def _why_stopped(target: TargetDocument, seen: StatusDocument) -> Iterator[Text]:
    """Why nothing is delivered, or soon may not be: who paused the target, and what it answered when it failed."""
    name = target.target
    if pause := target.paused:
        reason = f": {pause.reason}" if pause.reason else ""
        yield cell(f"{name} was paused {ago(seen.at - pause.at)} by {pause.who}{reason}")
    if (report := target.breaker) is None:
        return
    if report.state is Health.OK:
        if report.error:
            yield cell(f"{name}: failing, its circuit is not open yet: {report.error}")
    else:
        where = _where(target, report.state, seen)
        yield cell(f"{name}: circuit open{where} since {short(report.since)}: {report.error}")
        if seen.daemon is not None and not target.paused:
            none = "; none waits" if target.idle else ""
            yield cell(f"{name}: {_next_probe(report, seen.at)}{none}")


def _where(target: TargetDocument, health: Health, seen: StatusDocument) -> str:
    """` at relay 3f2c5a9e on m1`, where another one sees it otherwise."""
    names = [name for name, each in target.breakers.items() if each.state is health]
    if len(names) == len(target.breakers):
        return ""
    return f" at {' and '.join(called(name, seen) for name in names)}"


def _next_probe(report: BreakerDocument, now: datetime) -> str:
    if report.probe_at is None:
        return "a probe is in flight"
    if report.probe_at <= now:
        return "probed with the next delivery that is due"
    return f"next probe at {short(report.probe_at)}, in {length(report.probe_at - now)}"


def _in_routes(target: TargetDocument) -> Text:
    match target.in_routes:
        case None:
            return cell("?")
        case True:
            return cell("yes")
        case False:
            return cell("no longer", "red")


# ---- the files of the daemon


def _files(status: StatusDocument) -> Iterator[Table]:
    """A line for each file that is loaded, then what was refused and why."""
    report = status.files
    if not isinstance(report, dict):
        return
    label = "loaded"
    for each in report["loaded"]:
        yield labelled(label, f"{each['file']}, {_version(each['written_at'])}, loaded {_local(each['loaded_at'])}")
        if each["warning"]:
            yield labelled("", f"{each['file']} {each['warning']}", "yellow")
        label = ""
    for each in report["refused"]:
        newer = ", ".join(f"{file['file']} {_version(file['written_at'])}" for file in each["files"])
        files = f": {newer}" if newer else ""
        yield labelled("not loaded", f"at {_local(each['at'])}{files}; the version above stays", "red")
        for problem in each["problems"]:
            yield labelled("", problem, "red")
    if len(status.living) > 1:
        yield labelled("", f"this is said by {called(status.files_by, status)}")


def _version(written_at: str | None) -> str:
    return "not there" if written_at is None else f"changed {_local(written_at)}"


def _local(at: str) -> str:
    return short(datetime.fromisoformat(at))
