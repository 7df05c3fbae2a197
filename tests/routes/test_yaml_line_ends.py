"""Every line end of YAML counts, also the old Mac's and Unicode's: a slip has its place, and no text raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Problem, RoutesInvalid
from relay.routes.config import parse
from relay.routes.redaction import RedactedLines

LINE_ENDS = ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"]
SLIPS = {
    "a key without ':'": ["version: 1", "routes", "sources: {}", ""],
    "a blank is missing after ':'": ["version: 1", "sources:x", "targets: {}", ""],
    "a ':' that cannot be here: check the indentation, or put text with ': ' in quotes": ["", "name: a: b", ""],
}


def problems(text: str) -> list[Problem]:
    with pytest.raises(RoutesInvalid) as refused:
        parse(text, file="routes.yaml", env={})
    return list(refused.value.problems)


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("message", SLIPS)
def test_a_slip_is_found_on_its_line_whatever_ends_the_lines(message: str, end: str) -> None:
    [problem] = problems(end.join(SLIPS[message]))
    assert (problem.line, problem.message) == (2, message)


@given(st.text("ab:-{}[]\"'#\t !$&*|>,?\u00a0é\n\r\x85\u2028\u2029", max_size=40))
def test_any_text_has_problems_and_never_raises(text: str) -> None:
    lines = text.count("\n") + sum(map(text.count, LINE_ENDS[2:])) + 1
    for problem in problems(text):
        assert problem.message
        assert 1 <= problem.line <= lines
        RedactedLines(text.encode()).at(problem.line, problem.column)
