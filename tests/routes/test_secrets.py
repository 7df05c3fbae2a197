import traceback
from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.model import Secret
from relay.operations.explain import explain_routes
from relay.routes.config import parse
from relay.routes.diagnostics import Problems
from relay.routes.lint import warnings
from relay.routes.route_tests import run_tests
from relay.routes.routes import condition_text
from relay.routes.secrets import MAX_FILE_BYTES, expand
from relay.routes.yaml_document import Document, Reference


def expanded(text: str, env: dict[str, str] | None = None) -> tuple[object, list[str]]:
    problems = Problems()
    document = expand(Document(value={"a": text}, marks={("a",): (1, 1)}), env or {}, problems)
    return document.at(("a",)), [problem.message for problem in problems.found()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("Bearer ${A}", "Bearer one"),
        ("${A}-${B_2}", "one-two"),
        ("${MISSING:-three}", "three"),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${A:-three}", "one"),
        ("${EMPTY:-three}", "three"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A and $", "$A and $"),
        ("}", "}"),
    ],
)
def test_variables_are_replaced_and_the_rest_is_kept(text: str, value: str) -> None:
    assert expanded(text, {"A": "one", "B_2": "two", "EMPTY": ""}) == (value, [])


def test_a_template_sees_a_text_in_pieces_of_which_secrets_are_none() -> None:
    document = Document(value={"a": ["x", "$${b ${A} c${B:-d}"]}, marks={})
    found = expand(document, {"A": "one"}, Problems())
    secrets = (Reference(Secret("one"), "${A}"), Reference(Secret("d"), "${B}"))
    assert found.source(("a",)) == ["x", ("${b ", secrets[0], " c", secrets[1])]
    assert found.at(("a", 1)) == "${b one cd"
    assert found.source(("a", 0)) == "x"


def test_a_missing_secret_leaves_the_template_around_it_to_be_checked() -> None:
    def source(*where: str) -> object:
        value: object = "${URL}/{{ data.id }}/${TOKEN}"
        for name in reversed(where):
            value = {name: value}
        return expand(Document(value=value, marks={}), {}, Problems(), stand_ins=True).source(where)

    assert source("targets", "bot", "body") == (
        Reference(Secret("absent"), "${URL}"),
        "/{{ data.id }}/",
        Reference(Secret("absent"), "${TOKEN}"),
    )
    url = source("targets", "bot", "url")
    assert url == (Reference(Secret("https://absent.invalid/"), "${URL}"), "/{{ data.id }}/", *url[2:])
    assert url[2] == Reference(Secret("absent"), "${TOKEN}")


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expanded("${A}", {"A": "${B}", "B": "no"}) == ("${B}", [])


def test_what_a_variable_holds_cannot_change_the_structure() -> None:
    file = """{version: 1, sources: {crm: {token: "${TOKEN}"}}, targets: {bot: {url: "https://b.example"}},
    routes: [{name: all, match: {name: "${NAME}"}, to: bot}]}"""
    config = parse(file, file="routes.yaml", env={"TOKEN": "t" * 16, "NAME": "x}, to: erp, otherwise: true"})
    assert config.routes[0].match["name"].any_of == {"x}, to: erp, otherwise: true"}


@pytest.mark.parametrize(("content", "value"), [("one\n", "one"), ("one\r\n", "one"), ("one\n\n", "one\n"), ("a", "a")])
def test_a_file_gives_its_text_without_the_last_line_end(tmp_path: Path, content: str, value: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content.encode())
    assert expanded(f"${{file:{secret}}}") == (value, [])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe\n", "is not UTF-8"),
        (b"x" * (MAX_FILE_BYTES + 1), f"is over {MAX_FILE_BYTES} bytes"),
    ],
    ids=["empty", "blank", "binary", "large"],
)
def test_a_file_that_holds_no_secret_is_a_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    assert expanded(f"${{file:{secret}}}")[1] == [f"the file {secret} {problem}"]


def test_a_variable_that_is_not_utf_8_is_a_problem() -> None:
    assert expanded("${A}", {"A": "\udcff"})[1] == ["the variable A is not UTF-8"]


CANARY_FILE = """
version: 1
sources:
  crm: {token: "${TOKEN}"}
targets:
  bot:
    url: https://bot.example/${URL_KEY}
    headers: {Authorization: "Bearer ${HEADER}", X-Default: "${UNSET:-canary-default}"}
    secret: ${SIGNING}
routes:
  - name: one
    match: {entity: ["${WORD}"], name: {like: "${WORD}*"}, pipeline_id: {not: "${WORD}"}}
    to: bot
tests:
  - name: none
    event: {entity: leads, action: add, data: {name: "${WORD}"}}
    expect: {targets: bot}
"""
LEAK = "canary: leak"
CANARIES = {
    "TOKEN": "canary-token-0123456789",
    "URL_KEY": "canary-url",
    "HEADER": "canary-header",
    "SIGNING": "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5",
    "WORD": "canary-word",
}


def test_no_secret_shows_in_what_is_printed() -> None:
    config = parse(CANARY_FILE, file="routes.yaml", env=CANARIES)
    [test] = config.tests
    printed = [
        repr(config),
        str(config.document),
        repr(config.routes),
        repr(config.tests),
        repr(config.targets["bot"]),
        config.url_as_written("bot"),
        condition_text(config.document, ("routes", 0, "match")),
        *(problem.text("routes.yaml") for problem in warnings(config)),
        *(difference for result in run_tests(config.tests, config.matcher) for difference in result.differences),
        *(check.condition for route in explain_routes(config, test.event) for check in route.checks),
    ]
    assert not [text for text in printed if "canary-" in text or "Y2FuYXJ5" in text]
    assert config.url_as_written("bot") == "https://bot.example/${URL_KEY}"


def test_the_secrets_are_there_for_the_wire() -> None:
    config = parse(CANARY_FILE, file="routes.yaml", env=CANARIES)
    bot = config.targets["bot"]
    assert config.sources["crm"].tokens[0].matches("canary-token-0123456789")
    assert bot.url == "https://bot.example/canary-url"
    assert bot.headers["Authorization"].reveal() == "Bearer canary-header"
    assert bot.headers["X-Default"].reveal() == "canary-default"
    assert bot.secrets[0].reveal() == CANARIES["SIGNING"]


def test_whoever_only_looks_needs_no_secrets() -> None:
    config = parse(CANARY_FILE, file="routes.yaml", env={"WORD": "canary-word"}, stand_ins=True)
    bot = config.targets["bot"]
    assert config.matcher.match(config.tests[0].event).routes == ()
    assert not any(secret.reveal() in CANARIES.values() for secret in (*bot.secrets, *bot.headers.values()))
    assert config.url_as_written("bot") == "https://bot.example/${URL_KEY}"


def test_what_decides_who_gets_an_event_is_never_made_up() -> None:
    with pytest.raises(RoutesInvalid) as refused:
        parse(CANARY_FILE, file="routes.yaml", env={}, stand_ins=True)
    assert {problem.message for problem in refused.value.problems} == {"the variable WORD is not set or empty"}
    assert {problem.path.partition(".")[0] for problem in refused.value.problems} == {"routes[0]", "tests[0]"}


def test_a_stand_in_hides_no_mistake() -> None:
    with pytest.raises(RoutesInvalid) as refused:
        parse(CANARY_FILE.replace("${TOKEN}", "${TOKEN"), file="routes.yaml", env={"WORD": "w"}, stand_ins=True)
    assert [problem.path for problem in refused.value.problems] == ["sources.crm.token"]


@pytest.mark.parametrize(
    ("url", "env", "shown"),
    [
        ("${URL:-https://bot.example/in}", {}, "https://bot.example/in"),
        ("${URL:-https://bot.example/in}", {"URL": "https://canary.example/"}, "${URL}"),
        ("https://${HOST:-bot.example}/${KEY}", {"KEY": "canary"}, "https://bot.example/${KEY}"),
        ("https://bot.example/$${HOST:-canary}", {}, "https://bot.example/$${HOST:-canary}"),
    ],
)
def test_a_url_is_shown_with_its_defaults_and_without_its_variables(url: str, env: dict[str, str], shown: str) -> None:
    file = CANARY_FILE.replace("https://bot.example/${URL_KEY}", f'"{url}"')
    config = parse(file, file="routes.yaml", env={**CANARIES, **env})
    assert config.url_as_written("bot") == shown


WRONG_PLACES = """
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets:
  bot: {url: "${LEAK}", timeout: "${LEAK}", rate: "${LEAK}", order: "${LEAK}", secret: "${LEAK}", dead_on: ["${LEAK}"]}
routes:
  - {name: "${LEAK}", match: {price: {gt: "${LEAK}"}}, to: ["${LEAK}"]}
tests:
  - {name: a, event: {entity: leads, action: add, source: "${LEAK}"}, expect: {targets: "${LEAK}"}}
"""


def test_a_secret_in_the_wrong_place_does_not_show_in_the_refusal() -> None:
    with pytest.raises(RoutesInvalid) as refused:
        parse(WRONG_PLACES, file="routes.yaml", env=CANARIES | {"LEAK": LEAK})
    assert len(refused.value.problems) == 11
    assert LEAK not in "".join(traceback.format_exception(refused.value))
