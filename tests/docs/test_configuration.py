"""docs/configuration.md is what the program says: no key, flag or variable is missing, every example is one."""

import ast
import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from io import IOBase
from pathlib import Path
from typing import Any, Self

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from relay.cli import times
from relay.errors import RelayError
from relay.routes.config import parse
from relay.routes.schema import schema
from tests.docs import reference
from tests.docs.pages import ROOT, read, section
from tests.docs.reference import all_commands, flags, keys
from tests.syntax import parsed

PAGE = read("docs/configuration.md")
LEAST = """\
version: 1
sources: {crm: {token: a-token-that-is-long-enough}}
targets: {bot: {url: "https://bot.example/"}}
routes: [{name: all, match: {}, to: bot}]
"""
VARIABLE = re.compile(r"(RELAY|LISTEN|NOTIFY|OTEL)_[A-Z_]*[A-Z]")


# ---- keys


def test_every_key_of_the_schema_has_a_row() -> None:
    """Counted by another way than the table is made: the names under each `properties`, wherever it stands."""
    paths = re.findall(r"^\| `([^`]+)` \|", reference.part("docs/configuration.md", "routes"), re.MULTILINE)
    shown = {path.rpartition(".")[2] for path in paths}
    whole = schema()
    of_match = set(whole["$defs"]["route"]["properties"]["match"]["properties"])  # docs/routes.md: any field will do
    of_a_condition = set(whole["$defs"]["condition"]["properties"])  # the same
    of_an_account = {"id", "subdomain"}
    assert set(_properties(whole)) - of_match - of_a_condition - of_an_account - shown == set()


def _properties(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _properties(each)
    elif isinstance(part, dict):
        named = part.get("properties", {})
        if not any(value is False for value in named.values()):  # a choice of keys, not their definition
            yield from named
        for value in part.values():
            yield from _properties(value)


def test_the_operators_of_a_condition_are_in_the_guide() -> None:
    match = section(read("docs/routes.md"), "## Match")
    assert [key for key in schema()["$defs"]["condition"]["properties"] if not re.search(rf"[`{{]{key}\b", match)] == []


KEYS = {path: part for path, part, _ in keys()}


@pytest.mark.parametrize("path", KEYS)
def test_a_key_has_a_meaning_and_an_example_that_fits(path: str) -> None:
    assert KEYS[path].get("description", "").endswith((".", "…")), path
    validator = Draft202012Validator({**KEYS[path], "$defs": schema()["$defs"]})
    example = yaml.safe_load(reference.KEY_EXAMPLES[path])
    assert [error.message for error in validator.iter_errors(example)] == []


def test_no_example_is_of_a_key_that_is_gone() -> None:
    assert set(reference.KEY_EXAMPLES) == set(KEYS)


def test_the_defaults_that_the_table_shows_are_the_built_in_ones() -> None:
    shown: dict[str, Any] = {}
    for path, part in KEYS.items():
        if "default" in part and "[]" not in path:
            *above, last = path.replace("targets.NAME", "defaults").split(".")
            place = shown
            for key in above:
                place = place.setdefault(key, {})
            place[last] = part["default"]
    assert len(shown["defaults"]) >= 6
    explicit = parse(LEAST + yaml.safe_dump(shown), file="routes.yaml", env={})
    built_in = parse(LEAST, file="routes.yaml", env={})
    assert (explicit.targets, explicit.retention) == (built_in.targets, built_in.retention)


# ---- flags and variables


class InTheEvening(datetime):
    """Today, late."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz).replace(hour=23, minute=59)


@pytest.mark.parametrize("name", all_commands())
def test_every_flag_of_a_command_has_a_meaning_and_an_example_that_fits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(times, "datetime", InTheEvening)  # at night 10:00 is in the future
    (tmp_path / "body.form").touch()
    command = all_commands()[name]
    context = click.Context(command)
    rows = PAGE.partition(f"\n### relay {name}\n")[2].partition("\n### ")[0]
    for option in flags(command):
        assert f"`{reference.flag_name(option)}`" in rows
        assert option.help
        if not option.is_flag:
            _convert(option, reference.value_example(option), context)


def _convert(option: click.Option, example: str, context: click.Context) -> None:
    """Fails if the flag does not take the example."""
    try:
        value = option.type.convert(example, option, context)
    except (click.BadParameter, RelayError) as error:
        pytest.fail(f"{reference.flag_name(option)} {example}: {error}")
    if isinstance(value, IOBase):
        value.close()


def test_no_example_is_of_a_flag_that_is_gone() -> None:
    there = [option for command in all_commands().values() for option in flags(command) if not option.is_flag]
    names = {reference.flag_name(option) for option in there}
    named = {f"{reference.flag_name(option)} {option.metavar}" for option in there}
    assert set(reference.FLAG_EXAMPLES) <= names | named


def test_every_variable_that_the_program_reads_has_a_row() -> None:
    read_ = {name for path in (ROOT / "relay").rglob("*.py") for name in _variables(path)}
    assert len(read_) >= 15
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", reference.part("docs/configuration.md", "variables"), re.MULTILINE))
    by_libraries = {"TZ", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"}
    assert rows - by_libraries == read_


def _variables(path: Path) -> Iterator[str]:
    """The names that stand in a module; `f"RELAY_{…}"` is what the flags make of it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
            yield node.value
        elif isinstance(node, ast.JoinedStr) and getattr(node.values[0], "value", "") in ("RELAY_", "RELAY_TLS_"):
            yield from _of_flags()


def _of_flags() -> set[str]:
    return {str(flag.envvar) for command in all_commands().values() for flag in flags(command) if flag.envvar}
