"""Texts of payloads -> what may reach a terminal; ids -> what tells them apart; lengths of time."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli.output import SHORTEST, cell, json_text, starts
from relay.operations.durations import length
from relay.printable import printable

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
