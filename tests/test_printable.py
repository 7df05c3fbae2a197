"""`relay.printable`: texts from outside -> what may reach a terminal or a line of a log."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.printable import printable


@given(st.text(alphabet=st.characters()))
def test_what_comes_out_is_printable(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters='\\"')))
def test_json_reads_it_back(text: str) -> None:
    assert json.loads(f'"{printable(text)}"') == text


@pytest.mark.parametrize("character", "\x1b\x07\x9b\u202e\u2028\u200f\x7f\ud800")
def test_a_character_that_steers_a_terminal_is_shown_by_its_number(character: str) -> None:
    assert printable(f"a{character}b") == f"a\\u{ord(character):04x}b"


def test_line_ends_are_shown_short_unless_they_are_kept() -> None:
    assert printable("a\r\n\tb") == r"a\r\n\tb"
    assert printable("a\n\x00b", keep="\n") == "a\n\\u0000b"


def test_a_format_character_beyond_the_first_plane_is_the_pair_that_json_wants() -> None:
    assert printable("\U000e0001") == r"\udb40\udc01"
