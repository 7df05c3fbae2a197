"""Every file in bad/ ends with the exact lines it must be refused with, each after `#! `."""

from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.routes.config import load, parse

FOLDER = Path(__file__).parent / "bad"
FILES = sorted(FOLDER.glob("*.yaml"))
ENV = {
    "CRM_TOKEN": "canary-crm-token-0123456789",
    "NAME": "canary-name",
    "SHORT": "canary",
    "TWO_LINES": "canary\nX-Evil: 1",
    "EMPTY": "",
    "QUOTED": '"canary-in-quotes"',
    "MARKED": "\ufeffcanary",
    "BLANK": "https://canary.example/ ",
    "BAD": str(FOLDER / "names"),
}


def refusal(text: str | bytes) -> list[str]:
    with pytest.raises(RoutesInvalid) as refused:
        parse(text, file="routes.yaml", env=ENV, names=FOLDER / "names")
    return refused.value.lines()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_every_problem_at_its_place(file: Path) -> None:
    text = file.read_text("utf-8")
    expected = [line.removeprefix("#! ") for line in text.splitlines() if line.startswith("#! ")]
    assert expected
    assert refusal(text) == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_refusal_shows_a_secret(file: Path) -> None:
    shown = "\n".join(refusal(file.read_text("utf-8")))
    assert not [value for value in ("canary", "hunter2", "X-Evil") if value in shown]


def test_there_are_bad_files_of_many_kinds() -> None:
    assert len(FILES) >= 60
    assert len([file for file in FILES if file.stem.startswith("names_")]) >= 12


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "1:1  the file is empty: it needs version, sources, targets and routes"),
        (b"version: 1\nname: caf\xe9\n", "2:10  not UTF-8 from here on: save the file as UTF-8"),
        ("version: 1\nsources: имя\n".encode("utf-16"), "1:1  not UTF-8 from here on: save the file as UTF-8"),
        (b"version: 1\nname: a\x00b\n", "2:8  a control character (U+0000): remove it"),
        ("имя: \x1b[31m\n".encode(), "1:6  a control character (U+001B): remove it"),
        (b"version: 1\n" + b"# comment\n" * 100_000, "1:1  the file is over 1 MB"),
        (b"[" * 900, "1:1  must be a mapping with version, sources, targets and routes"),
        (b"a: " + b"[" * 900, "1:35  nested deeper than 32 levels"),
        (b"a:\n" + b"- 1\n" * 100_001, "100000:3  more than 100000 values"),
    ],
    ids=["empty", "latin-1", "utf-16", "nul", "escape", "size", "brackets at the top", "brackets", "values"],
)
def test_bytes_that_are_no_routes_file_are_refused_early(data: bytes, line: str) -> None:
    assert refusal(data) == [f"routes.yaml:{line}"]


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_however_deep_a_file_is_nested_it_is_refused_in_one_line(depth: int) -> None:
    """PyYAML from 6.0.4 on has a limit of its own, and its own words for it."""
    [line] = refusal(b"a: " + b"[" * depth)
    assert "nested deeper than 32 levels" in line or "exceeded maximum nesting depth" in line


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_a_slip_is_found_on_its_line_whatever_ends_lines(end: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        parse(end.join(["version: 1", "targets:", "  bot", "    url: http://127.0.0.1/"]), file="routes.yaml", env={})
    assert refused.value.problems[0].line == 3


def test_a_column_counts_characters_and_not_bytes() -> None:
    expected = 'routes.yaml:1:14  имя[1]: bare `no`: write "no" in quotes, or true or false'
    assert expected in refusal("{имя: [один, no]}")


def test_a_file_that_cannot_be_read_is_refused_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        load(tmp_path, {})
    assert refused.value.lines() == [f"{tmp_path}: cannot be read: Is a directory"]


def test_a_file_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        load(tmp_path / "none.yaml", {})
    advice = "write one with relay init, or name another with --config"
    assert refused.value.lines() == [f"{tmp_path}/none.yaml: no such file: {advice}"]


def test_a_name_with_line_breaks_or_no_end_stays_on_one_short_line() -> None:
    lines = refusal('{"a\\n\\u001b[31m": 1}')
    assert r"routes.yaml:1:2  a\n\u001b[31m: unknown key 'a\n\u001b[31m'" in "".join(lines)
    assert all(line.isprintable() for line in lines)
    assert max(map(len, refusal("{" + "x" * 900 + ": 1}"))) < 250
