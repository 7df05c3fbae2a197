"""`relay check`: a routes file -> its problems, its warnings, and how its own tests went."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from relay.amocrm.events import load as load_event
from relay.cli.filters import pages
from relay.cli.options import config_option, json_option, load, load_to_look, store_option, visiting
from relay.cli.screen import print_json, printable
from relay.cli.times import Instant, local
from relay.errors import Problem, RoutesInvalid
from relay.model import Json
from relay.routes import lint
from relay.routes.config import Config
from relay.routes.difference import Difference, difference
from relay.routes.exposure import exposure
from relay.routes.lint import TestResult
from relay.routes.match import Matcher
from relay.routes.words import quoted
from relay.store.contract import Filter

PAGE = 500


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config_option
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--diff", "old", type=click.Path(path_type=Path), metavar="OLD", help="Compare with this file instead.")
@click.option("--since", type=Instant(), metavar="TIME", default="7d", help="With --diff: events from then on. [7d]")
@store_option
@json_option
def check(
    file: Path | None,
    config_path: Path,
    strict: bool,
    old: Path | None,
    since: datetime,
    store_path: Path,
    as_json: bool,
) -> None:
    """Validate a routes file and run its tests.

    Ends with 0 if it is good, 1 if it has errors or a test fails. Warnings alone are good, unless --strict. FILE is
    short for --config FILE. With --diff OLD it says how the events in the store would be routed differently.

    \b
    relay check
    relay check routes.yaml --strict
    relay check --diff routes.yaml routes.new.yaml --since 3d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if old is not None:
        _compare(old, file or config_path, since, store_path, as_json)
        return
    try:
        config = load(file or config_path)
    except RoutesInvalid as invalid:
        _print_invalid(invalid, as_json)
        raise click.exceptions.Exit(1) from None
    warnings, results = [*_exposed(file or config_path), *lint.warnings(config)], lint.run_tests(config)
    good = all(result.passed for result in results) and not (strict and warnings)
    if as_json:
        print_json(_document(config.file, good, warnings=warnings, results=results))
    else:
        _print_checked(config, good, warnings, results)
    raise click.exceptions.Exit(0 if good else 1)


def _exposed(file: Path) -> list[Problem]:
    """It is of the whole file: no line."""
    said = exposure(file)
    return [Problem(0, 0, "", said)] if said else []


# ---- --diff


def _compare(old: Path, new: Path, since: datetime, store_path: Path, as_json: bool) -> None:
    before, after = load_to_look(old), load_to_look(new)
    found = asyncio.run(_difference(before.matcher, after.matcher, store_path, since))
    if as_json:
        print_json({"events": found.events, "also": dict(found.also), "no_longer": dict(found.no_longer)})
        return
    for change, words in ((found.also, "would also go to"), (found.no_longer, "would no longer go to")):
        for target, number in sorted(change.items()):
            click.echo(f"{_counted(number, 'event')} {words} {printable(target)}")
    same = "" if found.also or found.no_longer else ", all routed as before"
    click.echo(f"{_counted(found.events, 'event')} since {local(since)}{same}")


async def _difference(old: Matcher, new: Matcher, store_path: Path, since: datetime) -> Difference:
    found = Difference()
    async with visiting(store_path) as store:
        async for page in pages(lambda after: store.events(Filter(since=since), limit=PAGE, after=after)):
            found += difference(old, new, [load_event(each.payload) for each in page if not each.damaged])
    return found


# ---- for people


def _print_invalid(invalid: RoutesInvalid, as_json: bool) -> None:
    if as_json:
        print_json(_document(invalid.file, False, errors=invalid.problems))
        return
    for line in invalid.lines():
        click.echo(printable(line))
    click.echo(_red(f"{invalid.file}: {_counted(len(invalid.problems), 'error')}"))


def _print_checked(config: Config, good: bool, warnings: Sequence[Problem], results: Sequence[TestResult]) -> None:
    for problem in warnings:
        where = f"{config.file}:{problem.line}:{problem.column} " if problem.line else f"{config.file}:"
        click.echo(f"{where} {click.style('warning', fg='yellow')} {_said(problem)}")
    for result in results:
        for line in _failures(config, result):
            click.echo(line)
    failed = sum(not result.passed for result in results)
    tests = f"{len(results) - failed} of {_counted(len(results), 'test')} passed" if results else "no tests"
    named = ((config.sources, "source"), (config.targets, "target"), (config.routes, "route"), (warnings, "warning"))
    summary = ", ".join([*(_counted(len(things), word) for things, word in named), tests])
    click.echo(f"{config.file}: {click.style('good', fg='green') if good else _red('not good')}: {summary}")


def _said(problem: Problem) -> str:
    return printable(f"{problem.path}: {problem.message}" if problem.path else problem.message)


def _failures(config: Config, result: TestResult) -> list[str]:
    where = f"{config.file}:{result.test.line}:{result.test.column}"
    return [
        f"{where}  {_red('failed')} {printable(f'{quoted(result.test.name)}: {difference}')}"
        for difference in result.differences
    ]


def _red(text: str) -> str:
    return click.style(text, fg="red")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


# ---- for programs


def _document(
    file: str,
    good: bool,
    *,
    errors: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    results: Sequence[TestResult] = (),
) -> dict[str, Json]:
    return {
        "file": file,
        "good": good,
        "errors": [_place(problem) for problem in errors],
        "warnings": [_place(problem) for problem in warnings],
        "tests": [
            {
                "name": result.test.name,
                "line": result.test.line,
                "passed": result.passed,
                "differences": list(result.differences),
            }
            for result in results
        ],
    }


def _place(problem: Problem) -> dict[str, Json]:
    return {"line": problem.line, "column": problem.column, "path": problem.path, "message": problem.message}
