"""docs/templates.md: its examples render what it says, and it names every filter, test and name."""

import json
import re

import pytest

from relay.model import Json
from relay.model.templates import event_context
from relay.routes.template import EVENT_NAMES, compile_text, compile_tree
from relay.routes.template.filters import FILTERS
from relay.routes.template.language import MAX_TOKENS, OF_LOOPS
from relay.routes.template.node_trees import MAX_DEPTH
from relay.routes.template.operators import TESTS
from relay.routes.template.work import MAX_WORK
from tests.docs.pages import read, section

PAGE = read("docs/templates.md")
ROWS = [
    [cell.strip() for cell in row.replace(r"\|", "¦").strip("|").split("|")]
    for row in re.findall(r"^\|.*\|$", section(PAGE, "## Filters"), re.MULTILINE)[2:]
]
EVENT = {
    "data": {"id": 4831596, "status_id": 142, "tags": [{"name": "vip"}], "price": "1500", "name": "A"},
    "entity": "leads",
}


@pytest.mark.parametrize(("example", "of", "writes"), [row[1:] for row in ROWS], ids=[row[1] for row in ROWS])
def test_a_filter_writes_what_the_page_says(example: str, of: str, writes: str) -> None:
    value: Json = None if of.startswith("missing") else json.loads(of.strip("`"))
    compiled = compile_text(f"{{{{ data.x | {example.strip('`')} }}}}", EVENT_NAMES)
    assert compiled.render({"data": {"x": value}}).replace("\u00a0", " ") == writes.strip("`")


def test_every_filter_is_shown_with_its_arguments() -> None:
    shown = {row[0].strip("`") for row in ROWS if row[0]}
    assert {name.partition("(")[0] for name in shown} == set(FILTERS)
    for name, _, arguments in (each.rstrip(")").partition("(") for each in shown):
        names = [parameter.name for parameter in FILTERS[name].parameters]
        assert len(arguments.split(", ") if arguments else []) == len(names)
        assert name == "default" or not arguments or arguments.split(", ") == names


def named(heading: str, start: str, end: str) -> set[str]:
    """The words in backquotes between two texts of a section."""
    part = " ".join(section(PAGE, heading).split()).partition(start)[2].partition(end)[0]
    return set(re.findall(r"`(\w+)`", part))


def test_names_tests_and_limits_are_those_of_the_language() -> None:
    assert named("## Values", "Names that stand alone are", "A template of a") == EVENT_NAMES
    assert named("## Statements", "`loop` has", "A loop runs") == OF_LOOPS
    assert {f"`is {name}`" for name in TESTS if name != "undefined"} <= set(re.findall(r"`is \w+`", PAGE))
    limits = " ".join(section(PAGE, "## Limits").split())
    for limit in (f"{MAX_TOKENS:,} words", f"deeper than {MAX_DEPTH}", f"{MAX_WORK // 1_000_000} million"):
        assert limit in limits


TREE = re.findall(r'^\| `"(.+)"` \| `(.+)` \|$', section(PAGE, "## Values"), re.MULTILINE)


@pytest.mark.parametrize(("source", "becomes"), TREE)
def test_a_string_of_a_tree_becomes_what_the_page_says(source: str, becomes: str) -> None:
    [made] = json.loads(compile_tree([source], EVENT_NAMES).render(event_context(EVENT)))
    assert (made, type(made)) == (json.loads(becomes), type(json.loads(becomes)))
    assert len(TREE) == 6


@pytest.mark.parametrize("source", re.findall(r"`(\{[{%][^`…]*[}%]\})`", PAGE))
def test_whatever_is_shown_compiles(source: str) -> None:
    if source.count("{% for") == source.count("{% endfor"):
        compile_text(source, EVENT_NAMES).render(event_context(EVENT))
