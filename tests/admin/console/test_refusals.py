"""What operations refuse, numbers and lengths of time: in the language of the page."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from relay.admin.console import figures, filters, moments, sentences
from relay.operations import finding_texts

OPERATIONS = Path(finding_texts.__file__).parent
OF_COMMANDS = frozenset({"access", "accounts", "connect", "documents", "forward", "init", "names", "subscriptions"})
"""Operations, or parts of them, that no page asks."""
WITH_WORDS = ("this act is ", " is a crm: this needs the role ", "3 is a 3: this needs the role ")
"""Refusals with words in their holes: their sentences name each of these."""


def refusals() -> Iterator[tuple[str, list[str]]]:
    """Each text of an error that operations raise: its file, and it with all that may stand in its holes."""
    for file in sorted(OPERATIONS.rglob("*.py")):
        raised = [each for each in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(each, ast.Raise)]
        for text in (each for error in raised for each in _literals(error)):
            parts = [each.value if isinstance(each, ast.Constant) else None for each in getattr(text, "values", [text])]
            samples = product(("3", "'crm'", "crm", "dead", "route"), repeat=parts.count(None))
            filled = ["".join(next(v) if each is None else str(each) for each in parts) for v in map(iter, samples)]
            if re.search("[a-z]{2} [a-z]", filled[0]):  # neither a path nor nothing but holes
                yield file.relative_to(OPERATIONS).parts[0], filled


def _literals(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    else:
        yield from (each for inner in ast.iter_child_nodes(node) for each in _literals(inner))


def test_each_refusal_of_an_operation_is_known(russian: None) -> None:
    shown = [filled for file, filled in refusals() if file.removesuffix(".py") not in OF_COMMANDS]
    assert len(shown) > 30
    unknown = [filled[0] for filled in shown if all(sentences.said(each) == each for each in filled)]
    assert [each for each in unknown if not any(known in each for known in WITH_WORDS)] == []


@pytest.mark.parametrize(
    ("said", "russian_"),
    [
        ("answered 5xx; no route with `unparsed: true` takes it", "его не берёт ни один маршрут с `unparsed: true`"),
        ("state/0: invalid enum value 'wrong'", "нет такого значения: 'wrong'"),
        ("limit: expected `int` <= 200", "нужно число не больше 200"),
        ("no entity 'zzz' (known: leads, task and 2 more)", "нет сущности 'zzz' (есть: leads, task и ещё 2)"),
        ("attempt 3 in 1.5 s", "попытка 3 через 1,5 с"),
    ],
)
def test_what_pages_show_of_a_refusal_has_no_english_in_it(russian: None, said: str, russian_: str) -> None:
    assert sentences.said(said).endswith(russian_)


def test_numbers_and_lengths_are_written_as_people_type_them(russian: None) -> None:
    assert [figures.age_word(each) for each in ("2h", "30m", "1.5s", "soon")] == ["2ч", "30мин", "1,5с", "soon"]
    assert (figures.number(0.5), filters.size(3 << 19), filters.span(1.5)) == ("0,5", "1,5 МиБ", "1,5 с")
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert moments.read({"slower": [figures.age_word("500ms")]}, now) == {"slower": ["500ms"]}
    placeholders = {"since": [figures.age_word("2h")], "slower": [figures.age_word("2s")]}
    assert moments.read(placeholders, now) == {"since": ["2h"], "slower": ["2s"]}


def test_english_numbers_have_a_point() -> None:
    assert (figures.number(0.5), figures.age_word("2h"), filters.span(1.5)) == ("0.5", "2h", "1.5 s")
