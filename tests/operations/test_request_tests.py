"""Tests of a routes file that expect requests: what differs is said, value by value, and nothing secret."""

import json

import pytest

from relay.delivery.payload import Original
from relay.errors import RoutesInvalid
from relay.operations.request_tests import run_tests
from relay.operations.shown_requests import shown_request
from relay.routes.config import parse
from relay.routes.lint import warnings
from relay.routes.route_tests import NO_TIME

FILE = """
version: 1
sources: {crm: {token: "${CRM_TOKEN}"}}
targets:
  telegram:
    url: https://api.telegram.org/bot${BOT}/send?a={{ data.id }}
    method: PUT
    headers: {X-Lead: "{{ data.id }}", X-Key: "${BOT}"}
    query: {key: "${BOT}"}
    body: {chat_id: 5, text: "Lead {{ data.name }}", key: "${BOT}", price: 1.5, list: [1, {a: true}]}
  plain: {url: "https://plain.example/${BOT}", query: {k: v}}
  text: {url: "https://text.example/", body: "{{ data.id }};{{ data.name }}\\n", content_type: text/csv}
  up: {url: "https://up.example/{{ data.name }}"}
  form: {url: "https://form.example/", format: form}
routes:
  - {name: leads, match: {entity: leads}, to: [telegram, plain, text, up]}
  - {name: rest, otherwise: true, to: form}
tests:
  - name: a test
    event: {entity: leads, action: add, data: {id: 7, name: NAME}}
    expect: {requests: EXPECTED}
"""
GOOD = {
    "telegram": {
        "method": "PUT",
        "url": "https://api.telegram.org/bot${BOT}/send?a=7&key=${BOT}",
        "headers": {"x-lead": 7, "Content-Type": "application/json"},
        "body": {"chat_id": 5, "text": "Lead Окна", "key": "${BOT}", "price": 1.5, "list": [1, {"a": True}]},
    },
    "plain": {"method": "POST", "url": "https://plain.example/${BOT}?k=v"},
    "text": {"body": "7;Окна\n", "headers": {"content-type": "text/csv"}},
}


def text_of(expected: object, name: str = "Окна") -> str:
    return FILE.replace("EXPECTED", json.dumps(expected, ensure_ascii=False)).replace("NAME", name)


def differences(expected: object, name: str = "Окна", *, secrets: bool = True) -> tuple[str, ...]:
    env = {"CRM_TOKEN": "t" * 20, "BOT": "canary"} if secrets else {}
    config = parse(text_of(expected, name), file="f", env=env, stand_ins=not secrets)
    [result] = run_tests(config)
    assert result.passed is not bool(result.differences)
    assert "canary" not in "".join(result.differences)
    return result.differences


@pytest.mark.parametrize("secrets", [True, False])
def test_requests_that_are_as_expected_pass_with_secrets_or_without(secrets: bool) -> None:
    assert differences(GOOD, secrets=secrets) == ()


def test_every_value_that_differs_is_named() -> None:
    wrong = {
        "method": "PATCH",
        "url": "https://api.telegram.org/bot${BOT}/send?a=8&key=${BOT}",
        "headers": {"X-Lead": "8", "X-Other": "1"},
        "body": {"chat_id": "5", "text": "Lead", "price": 1.25, "list": [True, {"a": True}, 3], "more": None},
    }
    got, asked = "https://api.telegram.org/bot${BOT}/send?a=7&key=${BOT}", wrong["url"]
    assert differences({"telegram": wrong}) == (
        'requests.telegram.method: expected "PATCH", got "PUT"',
        f'requests.telegram.url: expected "{asked}", got "{got}"',
        'requests.telegram.headers.x-lead: expected "8", got "7"',
        'requests.telegram.headers.x-other: expected "1", got nothing',
        'requests.telegram.body.chat_id: expected "5", got 5',
        'requests.telegram.body.text: expected "Lead", got "Lead Окна"',
        "requests.telegram.body.price: expected 1.25, got 1.5",
        "requests.telegram.body.list[0]: expected true, got 1",
        "requests.telegram.body.list[2]: expected 3, got nothing",
        "requests.telegram.body.more: expected null, got nothing",
        "requests.telegram: and 1 more differences",
    )


def test_long_texts_are_shown_from_where_they_differ() -> None:
    [said] = differences({"text": {"body": f"7;{'x' * 200}ab{'y' * 200}\n"}}, f"{'x' * 200}ac{'y' * 200}")
    tail = "y" * 77
    assert said.startswith(f'requests.text.body: expected …"{"x" * 19}ab{tail[:76]}')
    assert f'got …"{"x" * 19}ac' in said
    assert len(said) < 260


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"form": {"method": "POST"}}, "requests.form: expected a request, but the event does not go there"),
        ({"text": {"body": {"a": 1}}}, 'requests.text.body: expected JSON, got "7;Окна\\n"'),
        ({"telegram": {"headers": {"X-Key": "x"}}}, "is secret, and cannot be compared: leave it out"),
        ({"telegram": {"body": [5]}}, "requests.telegram.body: expected [5], got {"),
    ],
)
def test_what_cannot_be_compared_is_said(expected: object, said: str) -> None:
    [difference] = differences(expected)
    assert said in difference


def test_a_request_that_cannot_be_rendered_is_a_difference() -> None:
    [said] = differences({"up": {"method": "POST"}}, name="'..'")
    assert said.startswith("requests.up: cannot be rendered, url: ")


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"telegrm": {"method": "PUT"}}, "requests.telegrm: no target 'telegrm' (did you mean 'telegram'?)"),
        ({"form": {"body": "x"}}, "requests.form.body: format: form sends what amoCRM sent"),
        ({"telegram": {"metod": "PUT"}}, "unknown key 'metod'"),
        ({"telegram": {}}, "requests.telegram: must not be empty"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused(expected: object, problem: str) -> None:
    with pytest.raises(RoutesInvalid, match="f:") as refused:
        parse(text_of(expected), file="f", env={"CRM_TOKEN": "t" * 20, "BOT": "canary"})
    assert any(problem in line for line in refused.value.lines()), refused.value.lines()


def test_a_literal_secret_in_a_query_is_noticed() -> None:
    text = text_of(GOOD).replace('key: "${BOT}"}\n    body', "key: abc}\n    body")
    config = parse(text, file="f", env={"CRM_TOKEN": "t" * 20, "BOT": "canary"})
    said = [each.message for each in warnings(config) if each.path == "targets.telegram.query.key"]
    assert [each.partition(":")[0] for each in said] == ["a secret in the file"]


HEALED = """
version: 1
sources: {crm: {token: "${CRM_TOKEN}"}}
targets:
  plain: {url: "https://plain.example/"}
  marks: {url: "https://marks.example/", heal: mark, batch: {}}
  drops: {url: "https://drops.example/", heal: drop}
routes:
  - {name: approximate, match: {heal.exactness: approximate}, to: [marks, drops]}
  - {name: all, match: {entity: leads}, to: [plain, marks, drops]}
tests:
  - {name: came, event: {entity: leads, action: add}, expect: {targets: [plain, marks, drops], routes: all}}
  - name: healed
    event: {entity: leads, action: add, heal: {}}
    expect: {targets: [plain, marks], requests: {plain: {headers: {relay-healed: exact}}}}
  - name: approximate
    event: {entity: contacts, action: add, heal: {exactness: approximate, stale: true}}
    expect: {targets: marks, routes: approximate, requests: {marks: {headers: {relay-healed: approximate}}}}
  - name: wrong
    event: {entity: contacts, action: add, heal: {exactness: approximate}}
    expect: {requests: {drops: {method: POST}}}
"""


def test_an_event_of_a_test_may_be_a_healed_one() -> None:
    config = parse(HEALED, file="f", env={"CRM_TOKEN": "t" * 20})
    *good, wrong = run_tests(config)
    assert [each.differences for each in good] == [()] * 3
    assert wrong.differences == ("requests.drops: expected a request, but the event does not go there",)
    shown = [
        shown_request(config, name, good[2].test.event, Original(body=b""), now=NO_TIME).body
        for name in ("plain", "marks")
    ]
    assert ['"stale":true' in body for body in shown] == [False, True]


@pytest.mark.parametrize("heal", ["exact", "{exactness: nearly}", "{exact: true}"])
def test_what_is_no_heal_is_an_error(heal: str) -> None:
    with pytest.raises(RoutesInvalid, match=r"tests\[1\]\.event\.heal"):
        parse(HEALED.replace("heal: {}", f"heal: {heal}"), file="f", env={"CRM_TOKEN": "t" * 20})
