"""Targets of a status -> a table, and lines that say why nothing is delivered to one, or why its deliveries died."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table
from rich.text import Text

from relay.cli.output import cell, table
from relay.cli.relay_table import called
from relay.cli.times import short
from relay.model import Health
from relay.operations.documents.status import BreakerDocument, StatusDocument, TargetDocument
from relay.operations.durations import ago, length

CIRCUIT = {Health.PROBING: "half-open"}
"""States of a circuit as tables name them; `--json` and the metrics keep the breaker's words."""


def target_table(seen: StatusDocument, before: StatusDocument | None) -> Table:
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
    return targets


def _success(target: TargetDocument, seen: StatusDocument) -> tuple[Text, Text]:
    """`2.5/s` within the last minute, and when a delivery got through last."""
    report = target.breaker
    rate = cell("-" if report is None or report.rate is None else f"{report.rate:g}/s")
    at = report and report.delivered_at
    return rate, cell(ago(seen.at - at) if at else "-")


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


def why_stopped(target: TargetDocument, seen: StatusDocument) -> Iterator[Text]:
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


def deaths(target: TargetDocument, now: datetime) -> Iterator[Text]:
    """Why the last of its dead deliveries died and when, and since when they do: nothing if there are none."""
    if of := target.deaths:
        first = f", the first of {target.dead} {ago(now - of.first_at)}" if target.dead > 1 else ""
        yield cell(f"{target.target}: died {ago(now - of.last_at)}{first}: {of.why}")


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
