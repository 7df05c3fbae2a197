import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from relay.errors import RoutesInvalid
from relay.routes.config import Config, load, parse
from relay.routes.diagnostics import Problems, path_text
from relay.routes.lint import warnings
from relay.routes.route_tests import run_tests
from relay.routes.schema import schema
from relay.routes.yaml_document import parse as parse_document
from tests.example import ETC, SECRETS, placed

EXAMPLE = Path(__file__).parents[2] / "config" / "routes.example.yaml"
BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
ENV = {"DWH_TOKEN": "a-token-of-a-variable"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the example as routes.yaml, and its secrets."""
    folder = tmp_path_factory.mktemp("relay")
    (folder / "routes.yaml").write_text(placed(EXAMPLE.read_text("utf-8"), folder))
    return folder


@pytest.fixture
def example(folder: Path) -> Config:
    return load(folder / "routes.yaml", {})


def test_the_example_loads_with_its_secrets_and_passes_its_own_tests(example: Config) -> None:
    assert [result.differences for result in run_tests(example.tests, example.matcher) if not result.passed] == []
    assert len(example.tests) >= 5
    assert warnings(example) == []


def test_the_example_has_its_secrets_in_files() -> None:
    asked = set(re.findall(r"\$\{(?!name\b)([^}]+)\}", re.sub("(?m)^ *#.*$", "", EXAMPLE.read_text("utf-8"))))
    assert asked == {"SALES_BOT_URL:-http://127.0.0.1:9000/amocrm"} | {
        f"file:{ETC}/secrets/{name}" for name in ("crm_token", "dwh_token", "dwh_secret")
    }


def test_the_defaults_the_example_shows_are_the_built_in_ones(example: Config, folder: Path) -> None:
    text = (folder / "routes.yaml").read_text("utf-8")
    start, end = text.index("defaults:"), text.index("targets:\n")
    built_in = parse(text[:start] + text[end:], file="routes.yaml", env={})
    assert (example.targets, example.retention) == (built_in.targets, built_in.retention)


@st.composite
def corrupt(draw: st.DrawFn) -> str:
    """The example with some lines lost, doubled, moved, indented or cut."""
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line.strip() and line.lstrip()[0] != "#"]
    for _ in range(draw(st.integers(1, 4))):
        line, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        change = draw(st.sampled_from(["lose", "double", "move", "indent", "cut", "replace"]))
        match change:
            case "lose":
                lines[line] = ""
            case "double":
                lines.insert(other, lines[line])
            case "move":
                lines[line], lines[other] = lines[other], lines[line]
            case "indent":
                lines[line] = " " * draw(st.integers(0, 6)) + lines[line].lstrip()
            case "cut":
                lines[line] = lines[line][: draw(st.integers(0, 60))]
            case "replace":
                words = st.sampled_from(["no", "5", "[]", "{}", "[1, {a: b}]", "~", "{a: 1}", '"${DWH_TOKEN}"', "x y"])
                lines[line] = lines[line].partition(":")[0] + ": " + draw(words)
    return "\n".join(lines)


@settings(max_examples=300, deadline=None)
@given(corrupt())
def test_a_damaged_file_is_loaded_or_refused_and_never_crashes(folder: Path, text: str) -> None:
    try:
        config = parse(text.replace(ETC, str(folder)), file="routes.yaml", env=ENV)
    except RoutesInvalid as refused:
        assert refused.problems
        assert not [secret for secret in [*ENV.values(), *SECRETS.values()] if secret in str(refused)]
    else:
        assert all(warning.line > 0 for warning in warnings(config))
        run_tests(config.tests, config.matcher)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_schema_accepts_the_example_before_its_variables_are_known() -> None:
    document = parse_document(EXAMPLE.read_bytes(), Problems())
    assert document
    assert list(Draft202012Validator(schema()).iter_errors(document.value)) == []


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_where_an_editor_underlines_the_loader_has_a_problem(file: Path) -> None:
    text = file.read_text("utf-8")
    refused = [line.split("  ")[1] for line in text.splitlines() if line.startswith("#! ")]
    problems = Problems()
    document = parse_document(text, problems)
    if document is None or problems:  # no editor goes on to the schema
        return
    for error in Draft202012Validator(schema()).iter_errors(document.value):
        assert any(line.startswith(path_text(tuple(error.absolute_path))) for line in refused), error.message


def test_every_value_of_several_types_has_words_for_its_refusal() -> None:
    silent = [part for part in parts(schema()) if isinstance(part.get("type"), list) and "errorMessage" not in part]
    assert silent == []


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    used = {part["$ref"].removeprefix("#/$defs/") for part in parts(schema()) if "$ref" in part}
    assert used == set(schema()["$defs"])


def parts(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for item in part.values():
            yield from parts(item)
    elif isinstance(part, list):
        for item in part:
            yield from parts(item)
