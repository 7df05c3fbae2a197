"""`relay check`: a routes file -> its problems, its warnings, and how its own tests went."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from rich.cells import cell_len

from relay.cli import NotDone
from relay.cli.desk import AnyDesk, Place, place_options
from relay.cli.options import asynchronous, json_option, pair_of, tls_options
from relay.cli.output import cell, clipped, counted, fits, is_wide, print_document, put, starts, table
from relay.cli.store import names_folder
from relay.cli.times import Instant, local
from relay.errors import Problem
from relay.operations import check as operation
from relay.operations.documents.routes import (
    CheckDocument,
    MatchesDocument,
    PlaceDocument,
    RoutesDiffDocument,
    RouteTestDocument,
    RoutingChangeDocument,
    SettingsChangeDocument,
)
from relay.operations.routes import CHECK, DIFF, MOST_LISTED, Check, Diff, check_document
from relay.printable import printable
from relay.routes import config as routes_file
from relay.routes.diagnostics import quoted
from relay.routes.redaction import RedactedLines
from relay.routes.yaml_document import MAX_BYTES

STDIN = Path("-")
IN_FORCE = Path()
"""The value of --diff alone: a folder is no routes file."""
MOST_SHOWN_OF_A_LINE = 100  # characters
MOST_CHANGES_SHOWN = 20


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--no-secrets", is_flag=True, help="Do without secrets that are not here, as in CI.")
@click.option(
    "--diff",
    "old",
    type=click.Path(path_type=Path, readable=False),
    is_flag=False,
    flag_value="",
    metavar="[OLD]",
    help="Print what FILE would route and set differently from OLD, or else from the file in force.",
)
@click.option("--since", type=Instant(), metavar="TIME", default="7d", help="With --diff: events from then on. [7d]")
@tls_options("Check this certificate of the public listener too, PEM.")
@place_options
@json_option
@asynchronous
async def check(
    file: Path | None,
    strict: bool,
    no_secrets: bool,
    old: Path | None,
    since: datetime,
    tls_cert: Path | None,
    tls_key: Path | None,
    place: Place,
    as_json: bool,
) -> None:
    """Validate a routes file and run its tests.

    Ends with 0 if it is good, 1 if it has errors or a test fails. Warnings alone are good, unless --strict. FILE is
    short for --config FILE, and - reads standard input. With --diff it says which events in the store would be routed
    differently, and how, and which other settings the file changes: their names, never their values. With --relay the
    file is checked there, with the names of its accounts, but without variables and other files, and compared with the
    routes in force there.

    \b
    relay check
    relay check routes.yaml --strict
    git show HEAD:routes.yaml | relay check - --no-secrets
    relay check --tls-cert tls.pem --tls-key tls.key
    relay check --diff routes.yaml routes.new.yaml --since 3d
    relay check routes.new.yaml --diff --relay https://relay.example
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    path = file or place.routes_file
    if old is not None:
        await _diff(place, old, path, since, as_json)
        return
    pair = pair_of(tls_cert, tls_key)
    if place.relay_url:
        if pair:
            raise click.UsageError("--relay asks a relay elsewhere, --tls-cert and --tls-key are of this machine")
        text = _text(path)
        async with place.desk() as desk:
            checked = replace(await desk.ask(CHECK, Check(text=text, strict=strict)), file=_name(path))
        lines = RedactedLines(text.encode())
    else:
        found = operation.check(
            _content(path),
            name=_name(path),
            env=os.environ,
            stand_ins=no_secrets,
            strict=strict,
            certificate=pair,
            names=names_folder(),
        )
        checked, lines = check_document(found), RedactedLines(found.text)
    if as_json:
        print_document(checked)
    else:
        _print(checked, lines)
    raise click.exceptions.Exit(0 if checked.good else 1)


def _name(file: Path) -> str:
    return "<stdin>" if file == STDIN else str(file)


def _content(file: Path) -> Path | bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1) if file == STDIN else file


def _text(file: Path) -> str:
    content = _content(file)
    try:
        return (content if isinstance(content, bytes) else routes_file.read(content)).decode()
    except UnicodeDecodeError as error:
        raise NotDone(f"{_name(file)}: is not UTF-8: {error.reason} at byte {error.start}") from None


async def _diff(place: Place, old: Path, new: Path, since: datetime, as_json: bool) -> None:
    if old == IN_FORCE and not place.relay_url:
        old = place.routes_file
    _demand_two(old, new)
    before = None if old == IN_FORCE else _text(old)
    asked = Diff(text=_text(new), since=since, before=before, name=_name(new), before_name=_name(old))
    async with place.desk() as desk:
        found = await _whole(desk, asked, MOST_LISTED if as_json else MOST_CHANGES_SHOWN)
    if as_json:
        print_document(found)
    else:
        _print_diff(found, since)


def _demand_two(old: Path, new: Path) -> None:
    if old == new == STDIN:
        raise click.UsageError("standard input can be only one of the two files")
    if old.absolute() == new.absolute():
        raise click.UsageError(f"--diff would compare {old} with itself: name the new file too, after it")


async def _whole(desk: AnyDesk, asked: Diff, most: int) -> RoutesDiffDocument:
    """Go on until all stored events have been looked at: all changes counted, and the first of them."""
    whole = await desk.ask(DIFF, replace(asked, limit=most))
    while whole.next is not None:
        page = await desk.ask(DIFF, replace(asked, limit=most - len(whole.changes), after=whole.next))
        whole = replace(
            page,
            events=whole.events + page.events,
            also=dict(Counter(whole.also) + Counter(page.also)),
            no_longer=dict(Counter(whole.no_longer) + Counter(page.no_longer)),
            changed=whole.changed + page.changed,
            changes=(*whole.changes, *page.changes),
        )
    return whole


# ---- for people: what is wrong with a file


def _print(checked: CheckDocument, lines: RedactedLines) -> None:
    for misfit in checked.misfit:  # of the certificate, not of the routes file
        click.echo(f"{_red('error')} {printable(misfit)}")
    if checked.counts is None:
        errors = checked.errors[: len(checked.errors) - len(checked.misfit)]
        for problem in errors:
            click.echo(printable(_problem(problem).text(checked.file)))
            _print_excerpt(lines, problem)
        click.echo(_red(f"{checked.file}: {counted(len(errors), 'error')}"))
    else:
        _print_readable(checked, checked.counts, lines)


def _problem(place: PlaceDocument) -> Problem:
    return Problem(place.line, place.column, place.path, place.message)


def _print_excerpt(lines: RedactedLines, problem: PlaceDocument) -> None:
    """The line with a caret under the place, and a part of it if it is long."""
    if not (found := lines.at(problem.line, problem.column)):
        return
    line, at = found
    start = 0 if len(line) <= MOST_SHOWN_OF_A_LINE else max(0, at - MOST_SHOWN_OF_A_LINE // 2)
    before, after = printable(line[start:at]), printable(line[at : start + MOST_SHOWN_OF_A_LINE])
    click.echo(f"{problem.line:>5} | {(before + after).rstrip()}")
    click.echo(f"{'':>5} | {' ' * cell_len(before)}{click.style('^', fg='green')}")


def _print_readable(checked: CheckDocument, counts: dict[str, int], lines: RedactedLines) -> None:
    for problem in checked.warnings:
        where = f"{checked.file}:{problem.line}:{problem.column} " if problem.line else f"{checked.file}:"
        click.echo(f"{where} {click.style('warning', fg='yellow')} {_line(problem)}")
        _print_excerpt(lines, problem)
    for note in checked.notes:
        click.echo(f"{checked.file}: {click.style('note', fg='yellow')} {printable(note)}")
    for result in checked.tests:
        for line in _failures(checked.file, result):
            click.echo(line)
    passed = sum(result.passed for result in checked.tests)
    tests = f"{passed} of {counted(len(checked.tests), 'test')} passed" if checked.tests else "no tests"
    parts = [*((number, name.removesuffix("s")) for name, number in counts.items()), (len(checked.warnings), "warning")]
    summary = ", ".join([*(counted(number, word) for number, word in parts), tests])
    good = click.style("good", fg="green") if checked.good else _red("not good")
    click.echo(f"{checked.file}: {good}: {summary}")


def _line(problem: PlaceDocument) -> str:
    return printable(f"{problem.path}: {problem.message}" if problem.path else problem.message)


def _failures(file: str, result: RouteTestDocument) -> list[str]:
    where = f"{file}:{result.line}:{result.column}"
    return [
        f"{where}  {_red('failed')} {printable(f'{quoted(result.name)}: {difference}')}"
        for difference in result.differences
    ]


# ---- for people: what an edit changes


def _print_diff(found: RoutesDiffDocument, since: datetime) -> None:
    """Print what would be routed differently of the events from `since` on, and what else the edit changes."""
    for each in found.settings:
        click.echo(printable(_settings_change(each)))
    if found.changes:
        _print_changes(found.changes)
    if more := found.changed - len(found.changes):
        click.echo(f"… and {more} more: --json lists them")
    for change, words in ((found.also, "would also go to"), (found.no_longer, "would no longer go to")):
        for target, number in sorted(change.items()):
            click.echo(f"{counted(number, 'event')} {words} {printable(target)}")
    same = "" if found.changed else ", all routed as before"
    click.echo(f"{counted(found.events, 'event')} since {local(since)}{same}")


def _settings_change(each: SettingsChangeDocument) -> str:
    thing = f"{each.section.removesuffix('s')} {each.name}" if each.name else each.section
    return f"{thing}: {', '.join(each.settings)} {each.change}" if each.settings else f"{thing}: {each.change}"


def _print_changes(changed: Sequence[RoutingChangeDocument]) -> None:
    """A line for each event; where one is wider than the terminal, its routes go below it."""
    ids = {} if is_wide() else starts([each.id for each in changed])
    events = [[cell(ids.get(e.id, e.id)), cell(e.type), cell(clipped(e.entity_id))] for e in changed]
    routes = [_sides(each) for each in changed]
    whole = table("EVENT", "TYPE", "ID", "BEFORE", "AFTER")
    for event, sides in zip(events, routes, strict=True):
        whole.add_row(*event, *map(cell, sides))
    if fits(whole):
        put(whole)
        return
    widths = {name: max(row[n].cell_len for row in events) for n, name in enumerate(("EVENT", "TYPE"))}
    for event, (before, after) in zip(events, routes, strict=True):
        line = table("EVENT", "TYPE", "ID", folds=("ID",), headed=False, widths=widths)
        line.add_row(*event)
        put(line)
        put(cell(f"{before} → {after}", "dim"), indent=4)


def _sides(change: RoutingChangeDocument) -> tuple[str, str]:
    """The routes before and after; with their targets, where the routes are the same."""
    named = change.before.routes == change.after.routes
    before, after = (_side(each, targets=named) for each in (change.before, change.after))
    return before, after


def _side(found: MatchesDocument, *, targets: bool) -> str:
    routes = ", ".join(found.routes) or "none"
    return f"{routes} ({', '.join(found.targets) or 'no target'})" if targets else routes


def _red(text: str) -> str:
    return click.style(text, fg="red")
