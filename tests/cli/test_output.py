"""Texts of payloads -> what may reach a terminal; ids -> what tells them apart; lengths of time."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import relay
from relay.cli.output import SHORTEST, cell, counted_rows, json_text, starts
from relay.operations.durations import length
from relay.printable import printable
from tests.cli.conftest import Run

STEERING = "\x1b\x07\x9b\r\n\u202e\u2028\u200f\x7f"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_shown_is_printable_and_reads_back_from_json(text: str) -> None:
    shown = json_text({"text": text})
    assert printable(shown, keep="\n") == shown
    assert json.loads(shown) == {"text": text}


@pytest.mark.parametrize("character", STEERING)
def test_nothing_that_steers_a_terminal_gets_through(character: str) -> None:
    assert cell(character).plain.isprintable()


def test_a_start_distinguishes_an_id_from_the_others() -> None:
    ids = ["019ab000-0001-7000-8000-000000000001", "019ab000-0001-7000-8000-000000000002", "019ab000-0002-7000-8000-0"]
    found = starts(ids)
    assert [len(found[id_]) for id_ in ids] == [36, 36, SHORTEST]


@given(st.sets(st.text("01-", min_size=30, max_size=36), min_size=1))
def test_starts_are_of_their_id_and_of_no_other(ids: set[str]) -> None:
    for id_, start in starts([*ids]).items():
        assert id_.startswith(start)
        others = [other for other in ids if other.startswith(start)]
        assert others == [id_] or any(other.startswith(id_) for other in others if other != id_)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(milliseconds=12), "12 ms"),
        (timedelta(seconds=1.55), "1.6 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=5, hours=3), "5 d"),
    ],
)
def test_a_length_has_one_unit(span: timedelta, text: str) -> None:
    assert length(span) == text


# ---- JSON

WITHOUT_JSON = {"run", "demo", "send", "forward", "schema", "init", "export", "help", "completion"}
"""What starts something, or prints files, lines of JSON or a script by itself."""


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(relay)
    for name in relay.list_commands(context):
        command = relay.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", command.commands[each]) for each in command.commands)
        else:
            yield name, command


def test_each_question_and_act_prints_json() -> None:
    without = {name for name, command in commands() if "as_json" not in {each.name for each in command.params}}
    assert without == WITHOUT_JSON


@pytest.mark.parametrize(
    ("listing", "key"),
    [
        (("list",), "data"),
        (("list", "--unparsed"), "data"),
        (("list", "--unrouted"), "data"),
        (("list", "--unrouted", "--by", "type"), "types"),
        (("attempts",), "data"),
        (("story", "leads", "4831596"), "data"),
    ],
)
def test_a_listing_may_be_a_row_a_line(run: Run, unrouted: None, listing: tuple[str, ...], key: str) -> None:
    whole = json.loads(run(*listing, "--json").stdout)[key]
    lines = run(listing[0], "--json=lines", *listing[1:]).stdout.splitlines()
    assert [json.loads(line) for line in lines] == whole != []


def test_of_lines_the_cursor_is_said_beside_them(run: Run, kept: Path) -> None:
    ended = run("list", "--json=lines", "--limit", "1")
    assert (ended.stdout.count("\n"), ended.stderr.startswith("more: --before ")) == (1, True)


def test_acts_in_the_audit_are_rows_too(run: Run, kept: Path) -> None:
    run("pause", "warehouse")
    [line] = run("audit", "--json=lines").stdout.splitlines()
    assert json.loads(line) == json.loads(run("audit", "--json").stdout)[0]


def test_a_backup_as_json_has_its_rows(run: Run, kept: Path) -> None:
    document = json.loads(run("backup", "copy.db", "--json").stdout)
    assert (document["file"], document["rows"]["webhooks"], document["corrupt"]) == ("copy.db", 5, [])
    assert document["bytes"] > 0


def test_a_token_that_is_removed_is_named_as_json(run: Run, kept: Path) -> None:
    file = "--access", "access.json"
    run("access", "add", "olga", "--role", "viewer", *file)
    [line] = run("access", "list", "--json=lines", *file).stdout.splitlines()
    removed = json.loads(run("access", "remove", "olga", "--json", *file).stdout)
    assert removed == {"name": "olga", "id": json.loads(line)["id"], "removed": True}


@pytest.mark.parametrize(
    ("table", "one", "two"),
    [
        ("webhooks", "1 webhook", "2 webhooks"),
        ("deliveries", "1 delivery", "2 deliveries"),
        ("audit", "1 audit entry", "2 audit entries"),
    ],
)
def test_rows_are_counted_in_words_that_fit_their_number(table: str, one: str, two: str) -> None:
    assert (counted_rows(1, table), counted_rows(2, table)) == (one, two)
