"""Where a character of a text stands in the file, however the text is written there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.routes.diagnostics import Problems
from relay.routes.yaml_document import parse


def place_of(file: str, mark: str = "@") -> tuple[int, int]:
    """Line and column of `mark` as they are told from its place in the text under `a`."""
    document = parse(file, Problems())
    assert document
    place = document.templates["a",]
    before = place.text.partition(mark)[0]
    return place.at(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def truth(file: str, mark: str = "@") -> tuple[int, int]:
    before = file.partition(mark)[0]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    "file",
    [
        "a: x {{ @ }}",
        'a: "x {{ @ }}"',
        "a: 'x {{ @ }}'",
        "a: 'it''s {{ ''b'' }} {{ @ }}'",
        r'a: "\"q\" \\ \n \t é {{ @ }}"',
        'a: "first\n  second {{ @ }}\n  third"',
        "a: first\n   second {{ @ }}",
        "a: |\n  first {{ b }}\n\n    second {{ @ }}\n  third\n",
        "a: >-\n  first\n  second {{ @ }}\n\n  third\n",
        "a: |2+  # a comment\n    first\n  second {{ @ }}\n\n",
        "b: 1\na: Имя {{ b }} {{ @ }}\n",
        'b: 1\nc: [1, 2]\na:   "{{ @ }}"',
    ],
)
def test_a_character_is_found_where_it_is_written(file: str) -> None:
    assert place_of(file) == truth(file)


def test_what_is_behind_the_text_is_its_end() -> None:
    document = parse("a: '{{ b'\n", Problems())
    assert document
    assert document.templates["a",].at(1, 5) == (1, 9)
    assert document.templates["a",].at(9, 9) == (1, 9)


def test_only_texts_that_may_hold_a_template_are_remembered() -> None:
    document = parse("a: [plain, '{{ x }}', 5, '{% if %}', '{# #}', '{ {'] ", Problems())
    assert document
    assert list(document.templates) == [("a", 1), ("a", 3), ("a", 4)]


WORDS = st.lists(st.text(st.sampled_from("abcЖ{}%\"'\\"), min_size=1, max_size=5), min_size=1, max_size=8)


@given(WORDS, WORDS)
def test_a_block_keeps_every_place(before: list[str], after: list[str]) -> None:
    lines = [*before, "{{ @ }}", *after]
    file = "a: |\n" + "".join(f"    {line}\n" for line in lines)
    assert place_of(file) == truth(file)
