"""`relay check`: a routes file -> its problems, its warnings, and how its own tests went."""

import asyncio
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click
from rich.cells import cell_len

from relay.cli.options import json_option, pair_of, tls_options
from relay.cli.output import cell, clipped, counted, fits, is_wide, print_json, put, starts, table
from relay.cli.routes_file import config_option
from relay.cli.store import names_folder, store_option, visiting
from relay.cli.times import Instant, local
from relay.errors import Problem
from relay.operations import check as operation
from relay.operations import route_views
from relay.operations.check import Checked
from relay.operations.diff import RoutesDiff, RoutingChange, diff
from relay.printable import printable
from relay.routes.config import Config
from relay.routes.diagnostics import quoted
from relay.routes.redaction import RedactedLines
from relay.routes.route_tests import RouteTestResult
from relay.routes.yaml_document import MAX_BYTES
from relay.store.open import StoreUrl

STDIN = Path("-")
MOST_SHOWN_OF_A_LINE = 100  # characters
MOST_CHANGES_SHOWN = 20
MOST_CHANGES_LISTED = 10_000
"""In --json; each holds its event, and the store may have millions."""


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False))
@config_option
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--no-secrets", is_flag=True, help="Do without secrets that are not here, as in CI.")
@click.option(
    "--diff",
    "old",
    type=click.Path(path_type=Path, readable=False),
    metavar="OLD",
    help="Print what FILE would route differently from this one.",
)
@click.option("--since", type=Instant(), metavar="TIME", default="7d", help="With --diff: events from then on. [7d]")
@tls_options("Check this certificate of the public listener too, PEM.")
@store_option
@json_option
def check(
    file: Path | None,
    config_path: Path,
    strict: bool,
    no_secrets: bool,
    old: Path | None,
    since: datetime,
    tls_cert: Path | None,
    tls_key: Path | None,
    store_url: StoreUrl,
    as_json: bool,
) -> None:
    """Validate a routes file and run its tests.

    Ends with 0 if it is good, 1 if it has errors or a test fails. Warnings alone are good, unless --strict. FILE is
    short for --config FILE, and - reads standard input. With --diff OLD it says which events in the store would be
    routed differently, and how.

    \b
    relay check
    relay check routes.yaml --strict
    git show HEAD:routes.yaml | relay check - --no-secrets
    relay check --tls-cert tls.pem --tls-key tls.key
    relay check --diff routes.yaml routes.new.yaml --since 3d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    path = file or config_path
    if old is not None:
        _diff(old, path, since, store_url, as_json)
        return
    checked = operation.check(
        _content(path),
        name=_name(path),
        env=os.environ,
        stand_ins=no_secrets,
        strict=strict,
        certificate=pair_of(tls_cert, tls_key),
        names=names_folder(),
    )
    if as_json:
        print_json(route_views.checked(checked))
    else:
        _print(checked)
    raise click.exceptions.Exit(0 if checked.good else 1)


def _name(file: Path) -> str:
    return "<stdin>" if file == STDIN else str(file)


def _content(file: Path) -> Path | bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1) if file == STDIN else file


def _config(file: Path) -> Config:
    return operation.load(_content(file), name=_name(file), env=os.environ, names=names_folder())


def _diff(old: Path, new: Path, since: datetime, store_url: StoreUrl, as_json: bool) -> None:
    if old == new == STDIN:
        raise click.UsageError("standard input can be only one of the two files")
    if old.absolute() == new.absolute():
        raise click.UsageError(f"--diff would compare {old} with itself: name the new file too, after it")
    before, after = _config(old), _config(new)
    most = MOST_CHANGES_LISTED if as_json else MOST_CHANGES_SHOWN

    async def found() -> RoutesDiff:
        async with visiting(store_url) as store:
            return await diff(store, before, after, since=since, most=most)

    if as_json:
        print_json(route_views.routes_diff(asyncio.run(found())))
    else:
        _print_diff(asyncio.run(found()), since)


# ---- for people: what is wrong with a file


def _print(checked: Checked) -> None:
    lines = RedactedLines(checked.text)
    for problem in checked.misfit:  # of the certificate, not of the routes file
        click.echo(f"{_red('error')} {printable(problem.message)}")
    if checked.config is None:
        for problem in checked.errors:
            click.echo(printable(problem.text(checked.file)))
            _print_excerpt(lines, problem)
        click.echo(_red(f"{checked.file}: {counted(len(checked.errors), 'error')}"))
    else:
        _print_readable(checked, checked.config, lines)


def _print_excerpt(lines: RedactedLines, problem: Problem) -> None:
    """The line with a caret under the place, and a part of it if it is long."""
    if not (found := lines.at(problem.line, problem.column)):
        return
    line, at = found
    start = 0 if len(line) <= MOST_SHOWN_OF_A_LINE else max(0, at - MOST_SHOWN_OF_A_LINE // 2)
    before, after = printable(line[start:at]), printable(line[at : start + MOST_SHOWN_OF_A_LINE])
    click.echo(f"{problem.line:>5} | {(before + after).rstrip()}")
    click.echo(f"{'':>5} | {' ' * cell_len(before)}{click.style('^', fg='green')}")


def _print_readable(checked: Checked, config: Config, lines: RedactedLines) -> None:
    for problem in checked.warnings:
        where = f"{checked.file}:{problem.line}:{problem.column} " if problem.line else f"{checked.file}:"
        click.echo(f"{where} {click.style('warning', fg='yellow')} {_text(problem)}")
        _print_excerpt(lines, problem)
    for note in checked.notes:
        click.echo(f"{checked.file}: {click.style('note', fg='yellow')} {printable(note)}")
    for result in checked.tests:
        for line in _failures(checked.file, result):
            click.echo(line)
    passed = sum(result.passed for result in checked.tests)
    tests = f"{passed} of {counted(len(checked.tests), 'test')} passed" if checked.tests else "no tests"
    parts: tuple[tuple[Sequence[object] | Mapping[str, object], str], ...] = (
        (config.sources, "source"),
        (config.targets, "target"),
        (config.routes, "route"),
        (checked.warnings, "warning"),
    )
    summary = ", ".join([*(counted(len(things), word) for things, word in parts), tests])
    good = click.style("good", fg="green") if checked.good else _red("not good")
    click.echo(f"{checked.file}: {good}: {summary}")


def _text(problem: Problem) -> str:
    return printable(f"{problem.path}: {problem.message}" if problem.path else problem.message)


def _failures(file: str, result: RouteTestResult) -> list[str]:
    where = f"{file}:{result.test.line}:{result.test.column}"
    return [
        f"{where}  {_red('failed')} {printable(f'{quoted(result.test.name)}: {difference}')}"
        for difference in result.differences
    ]


# ---- for people: what an edit changes


def _print_diff(found: RoutesDiff, since: datetime) -> None:
    """Print what would be routed differently of the events from `since` on."""
    counts = found.counts
    if found.changes:
        _print_changes(found.changes)
    if more := counts.changed - len(found.changes):
        click.echo(f"… and {more} more: --json lists them")
    for change, words in ((counts.also, "would also go to"), (counts.no_longer, "would no longer go to")):
        for target, number in sorted(change.items()):
            click.echo(f"{counted(number, 'event')} {words} {printable(target)}")
    same = "" if counts.changed else ", all routed as before"
    click.echo(f"{counted(counts.events, 'event')} since {local(since)}{same}")


def _print_changes(changed: Collection[RoutingChange]) -> None:
    """A line for each event; where one is wider than the terminal, its routes go below it."""
    ids = {} if is_wide() else starts([each.event.id for each in changed])
    events = [[cell(ids.get(e.id, e.id)), cell(e.type), cell(clipped(e.entity_id))] for e in (c.event for c in changed)]
    routes = [[", ".join(side.routes) or "none" for side in (each.before, each.after)] for each in changed]
    whole = table("event", "type", "id", "before", "after")
    for event, sides in zip(events, routes, strict=True):
        whole.add_row(*event, *map(cell, sides))
    if fits(whole):
        put(whole)
        return
    widths = {name: max(row[n].cell_len for row in events) for n, name in enumerate(("event", "type"))}
    for event, (before, after) in zip(events, routes, strict=True):
        line = table("event", "type", "id", folds=("id",), headed=False, widths=widths)
        line.add_row(*event)
        put(line)
        put(cell(f"{before} → {after}", "dim"), indent=4)


def _red(text: str) -> str:
    return click.style(text, fg="red")
