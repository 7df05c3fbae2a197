import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.routes.conditions import condition, is_like

MANY = ["5", "15"]


@pytest.mark.parametrize(
    ("asked", "values", "answer"),
    [
        (5, ["5"], True),
        ("5", ["5"], True),
        (5, ["05"], False),
        (5, [], False),
        (True, ["true"], True),
        ("", [""], True),
        ("", [], False),
        ([1, 5], MANY, True),
        ([1, 2], MANY, False),
        ({"not": 5}, ["6"], True),
        ({"not": 5}, MANY, False),
        ({"not": [6, 7]}, MANY, True),
        ({"not": 5}, [], True),
        ({"not": 5, "exists": True}, [], False),
        ({"not": 5, "exists": True}, ["6"], True),
        ({"exists": True}, [""], True),
        ({"exists": True}, [], False),
        ({"exists": False}, [], True),
        ({"exists": False}, [""], False),
        ({"gt": 5}, ["5"], False),
        ({"gt": 5}, ["5.0001"], True),
        ({"gte": 5}, ["5.00"], True),
        ({"lt": 5}, ["-7"], True),
        ({"lt": 5}, ["5"], False),
        ({"lte": "5"}, ["+5"], True),
        ({"gt": 9}, ["10"], True),
        ({"gt": 0}, ["many"], False),
        ({"lt": 0}, ["-Infinity"], False),
        ({"gt": 0}, ["NaN"], False),
        ({"gt": 0}, ["1_0"], False),
        ({"gt": 0}, ["٣"], False),
        ({"gt": 0}, ["1\n"], False),
        ({"gt": 0}, [""], False),
        ({"gt": 0}, ["9" * 5000], True),
        ({"gte": 6, "lte": 10}, ["7"], True),
        ({"gte": 6, "lte": 10}, MANY, False),
        ({"gte": 6, "lte": 20}, MANY, True),
        ({"like": "text*"}, ["textual"], True),
        ({"like": "text*"}, ["Textual"], False),
        ({"like": "text*"}, ["a text"], False),
        ({"like": "1*", "gt": 10}, MANY, True),
        ({"like": "1*", "lt": 10}, MANY, False),
        ({"like": 15}, MANY, True),
    ],
)
def test_a_condition_holds_or_does_not(asked: Any, values: list[str], answer: bool) -> None:
    assert condition("price", asked, "").holds(values) is answer


@pytest.mark.parametrize(
    ("field", "asked", "value", "answer"),
    [
        ("status_id", "won", "142", True),
        ("old_status_id", ["won", "lost"], "143", True),
        ("status_id", {"not": ["won", "lost"]}, "142", False),
        ("status_id", "won", "won", False),
        ("result", "won", "won", True),
        ("result", "won", "142", False),
    ],
)
def test_won_and_lost_stand_for_142_and_143(field: str, asked: Any, value: str, answer: bool) -> None:
    assert condition(field, asked, "").holds([value]) is answer


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
    assert is_like(text, pattern) is expected


@pytest.mark.parametrize(
    ("text", "pattern", "answer"),
    [
        ("a", "a*a", False),
        ("aa", "a*a", True),
        ("aba", "ab*ba", False),
        ("ab", "*b*b", False),
        ("abb", "*b*b", True),
        ("", "*", True),
        ("a", "**", True),
    ],
)
def test_no_letter_is_counted_twice(text: str, pattern: str, answer: bool) -> None:
    assert is_like(text, pattern) is answer


@pytest.mark.parametrize("special", ["a.c", "a?c", "[abc]", "a+", "^a", "a\\*"])
def test_other_signs_stand_for_themselves(special: str) -> None:
    assert is_like(special, special)
    assert not is_like("abc", special)


def test_a_pattern_of_many_stars_does_not_run_away() -> None:
    assert not is_like("a" * 100_000, "*a" * 50 + "*b*c")
