"""Each message about a routes file that exists, warnings and templates too, is in the language of the page."""

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from relay import routes
from relay.admin.console import languages
from relay.admin.console.sentences import said_of_file
from tests.admin.console.conftest import Client, Seen

FOLDER = Path(routes.__file__).parent
BAD = Path(__file__).parents[2] / "routes/bad"
HOLE = "\0"
SAMPLES = ("crm", "3", "`crm`", "an id", "stage")
"""What may stand in a hole: each message takes some of them."""

PARTS = {
    "\0 \0 not used: targets go through the proxy that the routes file names (defaults: {proxy: …}), and it names none",
    "\0 (did you mean \0?)",
    "\0 in \0, too: write \0 without, or leave it out here",
    "\0 is not UTF-8",
    "\0 with a blank: remove it",
    "\0column \0 of the text: \0",
    " (did you mean \0?)",
    " with user and password",
    ", as of \0: relay names looks again",
    ", or two texts",
    ": write data.type for the type in its data",
    "`\0` needs numbers on both sides\0",
    "a lead created in the stage arrives as add and does not match: write",
    "a list",
    "a mapping",
    "amoCRM is not known to send the \0 \0 \0",
    "an id",
    "mail to another machine can be read on the way\0: use starttls",
    "must be \0",
    "the file \0",
    "the variable \0",
}
"""Messages, or what stands in a hole of one, that are known by what they are made of."""

OTHERS = {
    " that starts on line [0-9]+",
    "Encountered unknown tag '(\\w+)'",
    "Expected an expression, got '(.+)'",
    "Missing end of comment",
    "Missing end of raw",
    "Unexpected end of template.* needs to be closed is '(\\w+)'",
    "already on line [0-9]+",
    "already there",
    "block sequence entries are not allowed",
    "cannot start any token",
    "could not find expected ':'",
    "did not find expected ',' or ']'",
    "did not find expected ',' or '}'",
    "did not find expected '-'",
    "did not find expected <document start>",
    "did not find expected key",
    "did not find expected node content",
    "does not fit",
    "entity: companies",
    "entity: contacts",
    "entity: leads",
    "expected name or number",
    "expected token '(.+)', got '(.+)'",
    "found a tab character",
    "found unexpected document indicator",
    "found unknown escape character",
    "mapping values are not allowed",
    "not one of them",
    "sources: {any: {token: stands-for-every-source}}",
    "tag name expected",
    "type, as in {type: leads.status}",
}
"""Values, patterns, and words of libyaml and Jinja, none of which is shown."""


def messages() -> Iterator[str]:
    """Each text in the code, with a zero for what stands in it, and each `errorMessage` of the schema."""
    for file in sorted(FOLDER.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        within |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        yield from (text_of(node) for node in ast.walk(tree) if id(node) not in within)
    schema = files("relay.routes").joinpath("routes.schema.json").read_text("utf-8")
    yield from map(json.loads, re.findall(r'"errorMessage": ("(?:[^"\\]|\\.)*")', schema))


def text_of(node: ast.AST) -> str:
    """Empty of what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else HOLE for each in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        formatted = "{start}" in node.value
        return node.value.format(start=HOLE) if formatted else node.value
    return ""


MESSAGES = sorted({each for each in messages() if "\n" not in each and re.search(r"[a-z] [a-z]|[a-z]: ", each.strip())})


def is_said(message: str) -> bool:
    """Whether nothing of it stays in English, with one of the samples in its holes."""
    pieces = [each.strip() for each in message.split(HOLE) if re.search("[a-z]{2}.* .*[a-z]{2}", each)] or [message]
    said = [said_of_file(message.replace(HOLE, each)) for each in SAMPLES]
    return any(re.search("[а-я]", each) and not any(piece in each for piece in pieces) for each in said)


def test_each_message_is_in_russian(russian: None) -> None:
    assert len(MESSAGES) > 300
    assert [each for each in MESSAGES if each not in PARTS | OTHERS and not is_said(each)] == []


def test_no_exception_stands_here_for_nothing(russian: None) -> None:
    assert [each for each in sorted(PARTS | OTHERS) if each not in MESSAGES or is_said(each)] == []


@pytest.mark.parametrize("file", sorted(BAD.glob("*.yaml")), ids=lambda file: file.stem)
def test_whatever_a_bad_file_is_refused_with_is_in_russian(file: Path, russian: None) -> None:
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("#! "):
            said = said_of_file(line.removeprefix("#! "))
            assert all(re.search("[а-я]", each) for each in said.split("; ")), said


def test_a_message_keeps_its_place_and_what_stands_in_it(russian: None) -> None:
    assert said_of_file(
        "r.yaml:5:3  targets.a b: the name 'one' is already on line 7\nr.yaml:1:1  version: must be 1"
    ) == ("r.yaml:5:3  targets.a b: имя 'one' уже есть в строке 7\nr.yaml:1:1  version: нужно 1")
    assert said_of_file("x" * 3000) == "x" * 3000
    languages.speak("en")
    assert said_of_file("must be 1") == "must be 1"


DRAFT = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "https://bot.example/", body: "{{ data.id | uper }} {{ 1 + }}"}}
routes: [{name: one, match: {entity: leads, status_id: open}, to: bot}]
"""


async def test_pages_of_a_draft_say_them_in_the_language_of_the_page(browser: Client) -> None:
    for page in ("/routes/diff", "/routes/try"):
        sent = {"text": DRAFT, "body": "leads[add][0][id]=7"}
        answer = await browser.post(page, data=sent, headers={"Cookie": f"{languages.COOKIE}=ru"})
        text = Seen(await answer.text()).text
        assert "не хватает выражения перед" in text or "нет фильтра 'uper'" in text, text
