"""`relay check`: a routes file -> its problems, its warnings, and how its own tests went."""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from rich.cells import cell_len

from relay.cli.compare import compare, counted
from relay.cli.options import config_option, json_option, pair_of, store_option, tls_options
from relay.cli.output import print_json
from relay.cli.times import Instant
from relay.errors import ConfigurationError, Problem, RoutesInvalid
from relay.model import Json
from relay.printable import printable
from relay.routes import config, lint
from relay.routes.config import Config
from relay.routes.diagnostics import quoted
from relay.routes.permissions import writable_by_others
from relay.routes.redaction import RedactedLines
from relay.routes.route_tests import RouteTestResult, run_tests
from relay.routes.yaml_document import MAX_BYTES
from relay.tls import Certificate
from relay.watched import outdated

STDIN = Path("-")
WIDEST = 100
"""Characters of a line that are shown."""


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
    help="Say what FILE would route elsewhere than this one does.",
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
    store_path: Path,
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
    if old is not None:
        _compare(old, file or config_path, since, store_path, as_json)
        return
    path = file or config_path
    data = b""
    pair = pair_of(tls_cert, tls_key)
    unfit = _unfit(pair) if pair else []
    read = [path, *(pair or ())]
    try:
        name, data = _content(path)
        checked = config.parse(data, file=name, env=os.environ, stand_ins=no_secrets, on_open=read.append)
    except RoutesInvalid as invalid:
        _print_invalid(invalid, unfit, RedactedLines(data), as_json)
        raise click.exceptions.Exit(1) from None
    warnings = [*_exposed(path), *_outdated(read), *lint.warnings(checked)]
    results = run_tests(checked.tests, checked.matcher)
    good = not unfit and all(result.passed for result in results) and not (strict and warnings)
    if as_json:
        print_json(_document(checked.file, good, errors=unfit, warnings=warnings, results=results))
    else:
        _print_unfit(unfit)
        _print_checked(checked, good, warnings, results, RedactedLines(data))
    raise click.exceptions.Exit(0 if good else 1)


def _unfit(pair: tuple[Path, Path]) -> list[Problem]:
    """What is wrong with the certificate and its key; the text names the file."""
    try:
        Certificate(*pair)
    except ConfigurationError as error:
        return [Problem(0, 0, "", str(error))]
    return []


def _outdated(read: Sequence[Path]) -> list[Problem]:
    """Files that are not what whoever edits them sees."""
    return [Problem(0, 0, "", f"{file} {said}") for file in dict.fromkeys(read) if (said := outdated(file))]


def _exposed(file: Path) -> list[Problem]:
    """It is of the whole file: no line."""
    said = None if file == STDIN else writable_by_others(file)
    return [Problem(0, 0, "", said)] if said else []


# ---- what to check


def _content(file: Path) -> tuple[str, bytes]:
    """Its name in messages, and what is in it; RoutesInvalid if it cannot be read."""
    if file == STDIN:
        return "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)
    return str(file), config.read(file)


def _config(file: Path, *, stand_ins: bool) -> Config:
    name, data = _content(file)
    return config.parse(data, file=name, env=os.environ, stand_ins=stand_ins)


def _compare(old: Path, new: Path, since: datetime, store_path: Path, as_json: bool) -> None:
    if old == new == STDIN:
        raise click.UsageError("standard input can be only one of the two files")
    if old.absolute() == new.absolute():
        raise click.UsageError(f"--diff would compare {old} with itself: name the new file too, after it")
    compare(_config(old, stand_ins=True), _config(new, stand_ins=True), since, store_path, as_json=as_json)


# ---- for people


def _print_invalid(invalid: RoutesInvalid, unfit: Sequence[Problem], lines: RedactedLines, as_json: bool) -> None:
    if as_json:
        print_json(_document(invalid.file, False, errors=[*invalid.problems, *unfit]))
        return
    _print_unfit(unfit)
    for problem in invalid.problems:
        click.echo(printable(problem.text(invalid.file)))
        _print_excerpt(lines, problem)
    click.echo(_red(f"{invalid.file}: {counted(len(invalid.problems), 'error')}"))


def _print_unfit(problems: Sequence[Problem]) -> None:
    """Of the certificate, not of the routes file."""
    for problem in problems:
        click.echo(f"{_red('error')} {printable(problem.message)}")


def _print_excerpt(lines: RedactedLines, problem: Problem) -> None:
    """The line with a caret under the place, and a part of it if it is long."""
    if not (found := lines.at(problem.line, problem.column)):
        return
    line, at = found
    start = 0 if len(line) <= WIDEST else max(0, at - WIDEST // 2)
    before, after = printable(line[start:at]), printable(line[at : start + WIDEST])
    click.echo(f"{problem.line:>5} | {(before + after).rstrip()}")
    click.echo(f"{'':>5} | {' ' * cell_len(before)}{click.style('^', fg='green')}")


def _print_checked(
    checked: Config, good: bool, warnings: Sequence[Problem], results: Sequence[RouteTestResult], lines: RedactedLines
) -> None:
    for problem in warnings:
        where = f"{checked.file}:{problem.line}:{problem.column} " if problem.line else f"{checked.file}:"
        click.echo(f"{where} {click.style('warning', fg='yellow')} {_said(problem)}")
        _print_excerpt(lines, problem)
    for result in results:
        for line in _failures(checked, result):
            click.echo(line)
    failed = sum(not result.passed for result in results)
    tests = f"{len(results) - failed} of {counted(len(results), 'test')} passed" if results else "no tests"
    named = ((checked.sources, "source"), (checked.targets, "target"), (checked.routes, "route"), (warnings, "warning"))
    summary = ", ".join([*(counted(len(things), word) for things, word in named), tests])
    click.echo(f"{checked.file}: {click.style('good', fg='green') if good else _red('not good')}: {summary}")


def _said(problem: Problem) -> str:
    return printable(f"{problem.path}: {problem.message}" if problem.path else problem.message)


def _failures(checked: Config, result: RouteTestResult) -> list[str]:
    where = f"{checked.file}:{result.test.line}:{result.test.column}"
    return [
        f"{where}  {_red('failed')} {printable(f'{quoted(result.test.name)}: {difference}')}"
        for difference in result.differences
    ]


def _red(text: str) -> str:
    return click.style(text, fg="red")


# ---- for programs


def _document(
    file: str,
    good: bool,
    *,
    errors: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    results: Sequence[RouteTestResult] = (),
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
