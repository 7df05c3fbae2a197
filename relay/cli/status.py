"""`relay status`: targets, intake and the daemon -> a table for people, JSON for programs; once, or again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from relay.cli import INSTALLED, NotDone
from relay.cli.name_lines import name_lines
from relay.cli.options import asynchronous, json_option, was_given
from relay.cli.output import cell, counted, json_line, labelled, note, print_json, put, reader_gone, table
from relay.cli.relay_table import called, relays, shared
from relay.cli.routes_file import config_option, load_with_stand_ins, unusable
from relay.cli.store import spool_option, store_option, visiting
from relay.cli.subscription_lines import subscriptions
from relay.cli.times import short
from relay.errors import ConfigurationError, RelayError, RoutesInvalid, StoreBusy
from relay.model import Health, Json
from relay.operations import upkeep, views
from relay.operations.durations import ago, length
from relay.operations.health import Verdict, failed, judge
from relay.operations.status import FILES, Overview
from relay.operations.status import look as overview_of
from relay.operations.upkeep import SpoolFile
from relay.printable import printable
from relay.rfc3339 import rfc3339
from relay.routes.config import Config
from relay.store.open import SqliteUrl, StoreUrl
from relay.store.records import HealthReport, Status, TargetStatus

WATCH_EVERY = 2.0  # seconds
MEBIBYTE = 1024 * 1024

CIRCUIT = {Health.PROBING: "half-open"}
"""States of a circuit as tables name them; `--json` and the metrics keep the breaker's words."""


@click.command("status")
@click.option("--watch", is_flag=True, help=f"Look again every {WATCH_EVERY:g} s, until Ctrl-C.")
@click.option("--check", is_flag=True, help="One line, and 0, 1 or 2 for ok, warning or critical.")
@config_option
@store_option
@spool_option("Shown if PostgreSQL is away; with a postgresql store only.")
@json_option
@asynchronous
async def status(watch: bool, check: bool, config_path: Path, store_url: StoreUrl, spool: Path, as_json: bool) -> None:
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
        found = await _checked(config_path, store_url)
        click.echo(printable(found.line))
        click.get_current_context().exit(found.level)
    if click.get_current_context().meta.get(INSTALLED) and not as_json:
        note(f"the relay that systemd runs here: {config_path}, {store_url}")
    with _spool_instead(store_url, spool, as_json=as_json):
        await _status(watch, config_path, store_url, as_json)


async def _checked(config_path: Path, store_url: StoreUrl) -> Verdict:
    """What a store that cannot be asked means is for the monitor, too."""
    try:
        async with visiting(store_url) as store:
            return judge(await overview_of(store, _config(config_path, lambda _text: None)))
    except RelayError as error:
        return failed(str(error))


async def _status(watch: bool, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    async with visiting(store_url) as store:

        async def look(warn: Callable[[str], None] = note) -> Overview:
            return await overview_of(store, _config(config_path, warn))

        if watch:
            silent = partial(look, warn=lambda _text: None)  # `?` in the table shows it each time
            await watch_on(silent, as_json=as_json, pause=lambda: asyncio.sleep(WATCH_EVERY))
        elif as_json:
            print_json(views.overview(await look()))
        else:
            _show(await look(), None)


@contextmanager
def _spool_instead(store_url: StoreUrl, spool: Path, *, as_json: bool) -> Iterator[None]:
    """Show the spool if the shared store is away."""
    try:
        yield
    except StoreBusy as error:
        if isinstance(store_url, SqliteUrl):
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
    look: Callable[[], Awaitable[Overview]],
    *,
    as_json: bool,
    pause: Callable[[], Awaitable[object]],
) -> None:
    """Look and show, with a pause between, until Ctrl-C."""
    before = None
    while not reader_gone():
        seen = await look()
        if as_json:
            click.echo(json_line({"at": rfc3339(seen.at), **views.overview(seen)}))
        else:
            click.clear()  # a terminal; into a file or a pipe one look follows the other
            put(cell(f"relay status at {short(seen.at)}, every {WATCH_EVERY:g} s until Ctrl-C", "dim"), "")
            _show(seen, before)
        await pause()
        before = seen


def _config(config_path: Path, warn: Callable[[str], None]) -> Config | None:
    """None if the file cannot be used: the status matters all the more then."""
    if not was_given("config_path") and not config_path.exists():
        warn(f"no {config_path} here")
        return None
    try:
        return load_with_stand_ins(config_path)
    except RoutesInvalid as invalid:
        warn(unusable(config_path, invalid))
        return None


def _show(seen: Overview, before: Overview | None) -> None:
    """`before`: the last look, with which numbers are compared."""
    rates = any(
        each.condition and (each.condition.delivered_at or each.condition.rate) for each in seen.targets.values()
    )
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
    for name, each in seen.targets.items():
        was = before.targets.get(name, TargetStatus()) if before else each
        targets.add_row(
            cell(name),
            _number(each.pending, was.pending, "yellow"),
            _number(each.dead, was.dead, "red"),
            "-" if each.oldest_at is None else length(seen.at - each.oldest_at),
            _state(each, seen),
            _in_routes(name, seen),
            *(_success(each, seen) if rates else ()),
        )
    put(targets if seen.targets else "no targets")
    if stopped := [line for name, each in seen.targets.items() for line in _why_stopped(name, each, seen)]:
        put("", *stopped)
    _show_intake(seen)


def _success(target: TargetStatus, seen: Overview) -> tuple[Text, Text]:
    """`2.5/s` within the last minute, and when a delivery got through last."""
    report = target.condition
    rate = cell(f"{report.rate:g}/s" if report and seen.running else "-")
    at = report and report.delivered_at
    return rate, cell(ago(seen.at - at) if at else "-")


def _show_intake(seen: Overview) -> None:
    status, now = seen.status, seen.at
    last = "never" if status.last_at is None else f"{short(status.last_at)}, {ago(now - status.last_at)}"
    disk = status.disk
    put(
        "",
        labelled("last webhook", last),
        labelled("unparsed", f"{status.unparsed}{', see relay list --unparsed' if status.unparsed else ''}"),
        *subscriptions(status, now),
        *(name_lines(seen.names, now) if seen.names else []),
        *_rejected("misaddressed", views.misaddressed(status), ("address", "detail"), now, "red"),
        *_rejected("unauthorized", views.unauthorized(status), ("remote", "detail"), now, "yellow"),
        *_lost(status),
        *([labelled("disk", f"low: {disk.free // MEBIBYTE} MiB are free", "red")] if disk and disk.scarce else []),
        *_held_back(status, now),
        labelled("daemon", _daemon(status)),
        *_files(status),
    )
    if shared(status):
        put("", relays(status, now))
    if status.configs > 1:
        put(cell("their routes differ: a delivery of a target that one of them lacks is made by the others", "yellow"))


def _rejected(
    reason: str, report: Mapping[str, Json], of_the_last: tuple[str, str], now: datetime, style: str
) -> Iterator[Table]:
    """How many requests were rejected for this reason, and what was wrong with the last one."""
    if report["count"]:
        since, last = (datetime.fromisoformat(report[name]) for name in ("since", "last_at"))
        what = ": ".join(filter(None, (report[name] for name in of_the_last)))
        yield labelled(reason, f"{report['count']} since {short(since)}, the last {ago(now - last)}", style)
        yield labelled("", what)


def _lost(status: Status) -> Iterator[Table]:
    if status.losses:
        count = sum(loss.count for loss in status.losses)
        yield labelled("missing", f"at most {count} that were answered 200, see relay verify", "red")


def _held_back(status: Status, now: datetime) -> Iterator[Table]:
    if held := views.oldest_snapshot(status):
        since = datetime.fromisoformat(held["since"])
        yield labelled("vacuum", f"held back since {short(since)}, {ago(now - since)}, by {held['by']}", "yellow")


def _daemon(status: Status) -> str:
    if status.owner is None:
        return "not running"
    if len(status.living) > 1:
        return f"{len(status.living)} relays run, see below"
    [living] = status.living
    return f"running, pid {living.pid}{f' on {living.host}' if shared(status) else ''}"


def _number(number: int, before: int, style: str) -> Text:
    """`12`, or `12 -3` if there were 15 at the last look."""
    change = cell(f" {number - before:+}", "dim") if number != before else ""
    return Text.assemble(cell(number, style if number else ""), change)


def _state(target: TargetStatus, seen: Overview) -> Text:
    """`paused`, or the circuit as the daemon reports it; as of its last report if it does not run.

    `ok, failing`: the last attempt failed, and the circuit is not open yet. `open, idle`: no delivery waits for it.
    """
    if target.pause:
        return cell("paused", "yellow")
    if target.condition is None:
        return cell("-")
    health, failing = target.condition.health, target.condition.error != ""
    state = CIRCUIT.get(health, health.value)
    idle = seen.idle(target)
    but = ", failing" if failing and health is Health.OK else ", idle" if idle else ""
    as_of = "" if seen.running else f", as of {short(target.condition.as_of)}"
    style = "red" if health is not Health.OK and not idle else "yellow" if failing or idle else ""
    return cell(f"{state}{but}{as_of}", style)


def _why_stopped(name: str, target: TargetStatus, seen: Overview) -> Iterator[Text]:
    """Why nothing is delivered, or soon may not be: who paused the target, and what it answered when it failed."""
    if pause := target.pause:
        reason = f": {pause.reason}" if pause.reason else ""
        yield cell(f"{name} was paused {ago(seen.at - pause.at)} by {pause.who}{reason}")
    if (report := target.condition) is None:
        return
    if report.health is Health.OK:
        if report.error:
            yield cell(f"{name}: failing, its circuit is not open yet: {report.error}")
    else:
        where = _where(target, report.health, seen)
        yield cell(f"{name}: circuit open{where} since {short(report.since)}: {report.error}")
        if seen.running and not target.pause:
            none = "; none waits" if seen.idle(target) else ""
            yield cell(f"{name}: {_next_probe(report, seen.at)}{none}")


def _where(target: TargetStatus, health: Health, seen: Overview) -> str:
    """` at relay 3f2c5a9e on m1`, where another one sees it otherwise."""
    names = [name for name, each in target.conditions.items() if each.health is health]
    if len(names) == len(target.conditions):
        return ""
    return f" at {' and '.join(called(name, seen.status) for name in names)}"


def _next_probe(report: HealthReport, now: datetime) -> str:
    if report.probe_at is None:
        return "a probe is in flight"
    if report.probe_at <= now:
        return "probed with the next delivery that is due"
    return f"next probe at {short(report.probe_at)}, in {length(report.probe_at - now)}"


def _in_routes(name: str, seen: Overview) -> Text:
    match seen.in_routes(name):
        case None:
            return cell("?")
        case True:
            return cell("yes")
        case False:
            return cell("no longer", "red")


# ---- the files of the daemon


def _files(status: Status) -> Iterator[Table]:
    """A line for each file that is loaded, then what was refused and why."""
    report = views.files(status)
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
        yield labelled("", f"this is said by {called(status.reports[FILES].relay, status)}")


def _version(written_at: str | None) -> str:
    return "not there" if written_at is None else f"changed {_local(written_at)}"


def _local(at: str) -> str:
    return short(datetime.fromisoformat(at))
