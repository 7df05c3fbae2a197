"""The line of a problem, as it may be printed: with the place in it, and nothing secret."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import RoutesInvalid
from relay.routes.config import parse
from relay.routes.redaction import RedactedLines
from tests.routes.test_bad_files import ENV, FILES, FOLDER

FILE = b"""\
version: 1
sources:
  crm: {token: hunter2, accounts: [5, example], dedupe: 1h}   # hunter2
targets:
  bot:
    url: "https://bot.example/hunter2"   # hunter2
    headers: {Authorization: "Bearer hunter2", X-Right: "${NAME}"}
    timeout: 15s
    secret:
      - hunter2
      - ${file:/run/secrets/dwh}
    tokn: hunter2
  erp:
    url: ${URL:-https://hunter2.example/}
    secret: |
      hunter2
      hunter2
    headers:
      timeout: hunter2
routes:
  - name: offer
    match: {entity: leads, status_id: [won, 7], name: hunter2hunter2hunter2}
    to: https://hunter2.example/?token=hunter2
"""


@pytest.mark.parametrize(
    ("line", "column", "shown", "before"),
    [
        (1, 1, "version: 1", "version: "[:0]),
        (3, 9, "  crm: {token: ***, accounts: [5, example], dedupe: 1h}   ", "  crm: {"),
        (3, 16, "  crm: {token: ***, accounts: [5, example], dedupe: 1h}   ", "  crm: {token: "),
        (3, 18, "  crm: {token: ***, accounts: [5, example], dedupe: 1h}   ", "  crm: {token: "),
        (3, 25, "  crm: {token: ***, accounts: [5, example], dedupe: 1h}   ", "  crm: {token: ***, "),
        (6, 5, "    url: ***  ", "    "),
        (7, 15, '    headers: {Authorization: ***, X-Right: "${NAME}"}', "    headers: {"),
        (8, 5, "    timeout: 15s", "    "),
        (10, 9, "      - ***", "      - "),
        (11, 9, "      - ${file:/run/secrets/dwh}", "      - "),
        (12, 5, "    tokn: ***", "    "),
        (14, 5, "    url: ***", "    "),
        (16, 7, "      ***", "      "),
        (19, 7, "      timeout: ***", "      "),
        (22, 13, "    match: {entity: leads, status_id: [won, 7], name: ***}", "    match: {"),
        (23, 5, "    to: ***", "    "),
    ],
)
def test_a_line_is_shown_without_what_may_be_secret(line: int, column: int, shown: str, before: str) -> None:
    found = RedactedLines(FILE).at(line, column)
    assert found is not None
    assert (found[0].rstrip(), found[0][: found[1]]) == (shown.rstrip(), before)


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("sources:\n  crm:\n    token hunter2\n    dedupe: 1h\n", 3, "    token …"),
        ("targets:\n  bot:\n    url:https://hunter2.example/\n    timeout: 5s\n", 3, "    …"),
        ("targets:\n  bot:\n    headers: X-Note: hunter2\n", 3, "    headers: …"),
        ("targets:\n  bot:\n    secret: 'hunter2\n    timeout: 5s\n", 3, "    secret: …"),
        ("targets:\n  bot:\n    secret:\n    - a: b: c\n      hunter2\n", 5, "      …"),
        ("routes:\n  - name: a\n    to bot  # hunter2\n    match: {}\n", 3, "    to bot"),
        ("routes:\n  - name: a\n    to https://hunter2.example\n    match: {}\n", 3, "    …"),
        ("{sources: {crm: {token: hunter2 x: y}}}", 1, "{sources: …"),
        # a part of the file whose name is misspelt
        ("routes: []\nTargets:\n  bot:\n    headers: X-Note: hunter2\n", 4, "    headers: …"),
        ("routes: []\nmy-targets:\n  bot:\n    headers:\n      X-Note: 'hunter2' x\n", 5, "      …"),
        ("routes:\n- name: a\ntаrgets:\n  bot:\n    headers: X-Note: hunter2\n", 5, "    headers: …"),
        ("routes: []\ntargets\n  bot: {headers: {X-Note: hunter2}}\n", 3, "  …"),
        ("routes:\n- name: a\n# comment\n- to bot\n  match: {}\n", 4, "- to bot"),
    ],
)
def test_behind_a_syntax_error_only_known_words_are_shown(text: str, line: int, shown: str) -> None:
    found = RedactedLines(text.encode()).at(line, 1)
    assert found is not None
    assert found[0].strip() == shown.strip()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("    token: {hunter2}", "    token: {***}"),
        ("    token: {hunter2: 5}", "    token: {***: ***}"),
        (
            "    headers: {X-Key: {hunter2: a}, Authorization: x}",
            "    headers: {X-Key: {***: ***}, Authorization: ***}",
        ),
        ("    token: *hunter2", "    token: ***"),
        (
            "    token: [&hunter2 x, !hunter2 [], &hunter2 {a: b}, *hunter2 ]",
            "    token: [***, ***], ******: ***}, *** ]",
        ),
        ("    retry: {initial: 5s, tries: 5}", "    retry: {initial: 5s, tries: 5}"),
        ("    body: {chat: hunter2, text: '{{ data.id }}'}", "    body: {chat: ***, text: '{{ data.id }}'}"),
        ("    body: {token: 'hunter2 token {{ data.id }}'}", "    body: {token: ***}"),
        ("    query: {k: hunter2, id: '{% if %}'}", "    query: {k: ***, id: '{% if %}'}"),
        ("    headers: {Authorization: 'Digest hunter2 {{ data.id }}'}", "    headers: {Authorization: ***}"),
        ("    body: {to: {password: 'hunter2{{ data.id }}'}}", "    body: {to: {password: ***}}"),
        ("    headers: {X-Id: '{{ data.id }}', X-Key: hunter2}", "    headers: {X-Id: '{{ data.id }}', X-Key: ***}"),
        ("    content_type: text/csv", "    content_type: text/csv"),
    ],
)
def test_a_secret_that_yaml_takes_for_something_else_is_hidden(line: str, shown: str) -> None:
    assert RedactedLines(f"targets:\n  bot:\n{line}\n".encode()).at(3, 1) == (shown, 0)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  - {match: {query.token: hunter2, query.try: 1}}", "  - {match: {query.token: ***, query.try: 1}}"),
        ("  - {match: {source: {not: crm}, api_key: [hunter2]}}", "  - {match: {source: {not: crm}, api_key: [***]}}"),
        ("  - {event: {query: {s: hunter2}, entity: leads}}", "  - {event: {query: {s: ***}, entity: leads}}"),
        ("  - {event: {data: {s: hunter2}, action: add}}", "  - {event: {data: {s: ***}, action: add}}"),
    ],
)
@pytest.mark.parametrize("part", ["routes", "tests"])
def test_what_a_route_asks_of_a_secret_is_hidden(part: str, line: str, shown: str) -> None:
    assert RedactedLines(f"{part}:\n{line}\n".encode()).at(2, 1) == (shown, 0)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_excerpt_of_a_bad_file_shows_a_secret(file: Path) -> None:
    data = file.read_bytes()
    with pytest.raises(RoutesInvalid) as refused:
        parse(data, file="routes.yaml", env=ENV, names=FOLDER / "names")
    found = [RedactedLines(data).at(problem.line, problem.column) for problem in refused.value.problems]
    assert "hunter2" not in str(found)


def test_every_line_of_a_file_without_secrets_is_shown_as_it_is() -> None:
    text = (
        "version: 1\nroutes:\n  - name: a\n    match: {entity: [leads, 'task'], \"name\": Имя}\n    to: [a,\n     b]\n"
    )
    excerpts = RedactedLines(text.encode())
    assert [excerpts.at(number, 3) for number in range(1, 7)] == [(line, 2) for line in text.splitlines()]
    assert excerpts.at(8, 1) is None
    assert excerpts.at(0, 0) is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("sign", ["[", "{a: ", "- ", "? ", "[{"], ids=ascii)
def test_a_file_of_brackets_costs_no_more_than_its_size(sign: str) -> None:
    """Each place would be as long as its depth, and all of them together its square."""
    text = f"version: 1\nroutes: [a]\nx:\n  {sign * (900_000 // len(sign))}\n"
    assert RedactedLines(text.encode()).at(2, 1) == ("routes: [a]", 0)


@given(st.text("ab:-{}[]\"'#\n $!&*|>,?\u00a0éя\t", max_size=60), st.integers(1, 9), st.integers(1, 70))
def test_any_text_has_excerpts_or_none(text: str, line: int, column: int) -> None:
    found = RedactedLines(text.encode()).at(line, column)
    assert found is None or (0 <= found[1] <= len(found[0]))


@example("  erp:\n", 2, "\n")  # what stands under it is one level higher then
@example(FILE.decode().splitlines(keepends=True)[2], 8, "#")  # a comment, though no blank is before it
@given(  # a line end elsewhere may make a setting of a header: then it is one
    st.sampled_from(FILE.decode().splitlines(keepends=True)[2:19]), st.integers(0, 60), st.sampled_from(":{}[]'\"- #")
)
def test_whatever_sign_is_too_much_a_secret_stays_hidden(line: str, at: int, sign: str) -> None:
    slip = line[:at] + sign + line[at:]
    text = FILE.decode().replace(line, slip, 1)
    excerpts = RedactedLines(text.encode())
    for number in range(1, 27):
        assert "hunter2" not in str(excerpts.at(number, 1))
