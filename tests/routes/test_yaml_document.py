from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.routes.diagnostics import Problems
from relay.routes.yaml_document import parse


def value_of(text: str) -> object:
    problems = Problems()
    document = parse(f"a: {text}\n", problems)
    assert not problems, problems.found()
    assert document
    return document.at(("a",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-5", -5),
        ("123456789012345678", 123456789012345678),
        ("1.50", Decimal("1.50")),
        ("1234567890123456789", "1234567890123456789"),
        ("+79991234567", "+79991234567"),
        ("12:30:45", "12:30:45"),
        ("2024-01-02", "2024-01-02"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
        ("y", "y"),
        ("'no'", "no"),
        ('"010"', "010"),
        ("'true'", "true"),
        ('"5"', "5"),
        ("|\n  no", "no\n"),
        ("=", "="),
    ],
)
def test_a_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    got = value_of(text)
    assert (got, type(got)) == (value, type(value))


def test_decimals_keep_the_digits_that_were_written() -> None:
    assert str(value_of("1.50")) == "1.50"


def test_every_key_and_list_item_has_a_place() -> None:
    document = parse("a:\n  b: [1, {c: 2}]\n", Problems())
    assert document
    assert document.marks == {
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (2, 7),
        ("a", "b", 1): (2, 10),
        ("a", "b", 1, "c"): (2, 11),
    }


def test_what_is_missing_stands_where_it_is_missing_from() -> None:
    document = parse("a:\n  b: 1\n", Problems())
    assert document
    assert document.mark(("a", "b", "c")) == (2, 3)
    assert document.mark(("z",)) == (1, 1)


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    problems = Problems()
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", problems)
    assert document
    assert (document.value, problems.found()) == ({"a": 1, "b": 2}, [])


@given(st.text(max_size=60) | st.text("ab:-[]{}#&*!|>'\"%@`?, \n\t0${}", max_size=40))
def test_whatever_the_text_there_is_a_document_or_a_problem(text: str) -> None:
    problems = Problems()
    document = parse(text, problems)
    assert document is not None or problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems.found())


@given(st.binary(max_size=60))
def test_whatever_the_bytes_there_is_a_document_or_a_problem(data: bytes) -> None:
    problems = Problems()
    assert parse(data, problems) is not None or problems
