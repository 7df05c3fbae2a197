import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.amocrm.strict_json import parse

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_json_says_is_what_comes_out(value):
    assert parse(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992",
        "-9007199254740992",
        "9223372036854775808",
        "1.0",
        "1e2",
        "-0",
        "9" * 5000,
        "NaN",
        "-Infinity",
        '{"a":1,"a":1}',
        '{"a\\u0000":1,"a\\ufffd":1}',
        '"\\ud800"',
        '{"\\udc00":1}',
        "[" * 17 + "]" * 17,
        "[" * 200_000,
        "[1",
        "",
        "nul",
    ],
)
def test_what_cannot_be_kept_to_the_digit_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1.10", "1e400", "-0", "9" * 5000])
def test_a_number_that_json_readers_round_can_stay_text_if_asked(number):
    assert parse(f"[{number},9007199254740991]", inexact=str) == [number, 2**53 - 1]


def test_nan_is_no_json_even_then():
    with pytest.raises(ValueError, match="NaN"):
        parse("[NaN]", inexact=str)


def test_sixteen_levels_are_kept():
    assert parse("[" * 16 + "]" * 16)


def test_a_surrogate_pair_is_one_character_and_nul_is_replaced():
    assert parse('["\\ud83d\\ude00","a\\u0000"]') == ["😀", "a\ufffd"]
