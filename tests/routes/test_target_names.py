"""The names of ids in what a target is sent: in the event itself, and in templates."""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from relay.amocrm.events import dump
from relay.delivery.batch import as_one
from relay.delivery.template_renderer import new_renderer
from relay.errors import RoutesInvalid
from relay.http.request import Request
from relay.model import Delivery, Event, Target
from relay.model.names_json import to_json
from relay.operations.check import Checked, check
from relay.operations.shown_requests import shown_request
from relay.routes.config import Config, parse
from relay.routes.names_files import cache_file
from tests.account.example_catalog import CATALOG, OFFER, SALES
from tests.amocrm.conftest import SCHEMA

NOW = datetime(2026, 11, 22, 10, 53, tzinfo=UTC)
FILE = """\
version: 1
accounts: {{main: {{host: example.amocrm.ru, token: canary.api.token}}}}
sources: {{crm: {{token: canary-crm-token-0123456789{account}}}}}
targets: {{bot: {{url: "https://bot.example/in", {target}}}}}
routes: [{{name: all, match: {{entity: {{exists: true}}}}, to: bot}}]
"""
NAMES = {"pipeline": "Продажи", "status": "Оффер", "responsible": "Ольга Петрова"}
EVENT = Event(
    id="019a9f2e-6c40-7cc3-98c4-dc0c0c07398f",
    source="crm",
    received_at=NOW,
    account={},
    entity="leads",
    action="status",
    data={"id": 7, "pipeline_id": SALES, "status_id": OFFER, "responsible_user_id": 501},
)

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The settings of the target -> Config, with the names of `CATALOG` unless they are not `known`."""

    def loaded(target: str, account: str = ", account: main", *, known: bool = True) -> Config:
        if known:
            cache_file(tmp_path, "main").write_text(json.dumps(to_json(CATALOG)), "utf-8")
        return parse(FILE.format(target=target, account=account), file="routes.yaml", env={}, names=tmp_path)

    return loaded


def delivery(event: Event = EVENT) -> Delivery:
    return Delivery(
        event_id=event.id,
        target="bot",
        attempt=1,
        policy_attempt=1,
        received_at=NOW,
        pending_since=NOW,
        payload=dump(event),
    )


def request(target: Target, *events: Event) -> Request:
    every = [delivery(each) for each in events or [EVENT]]
    return new_renderer(target).render(as_one(every) if target.batch else every[0], now=NOW)


def sent(config: Config, *events: Event) -> Any:
    return orjson.loads(request(config.targets["bot"], *events).body)


def test_an_event_has_names_if_the_target_says_so(load: Load) -> None:
    event = sent(load("names: true"))
    assert event.pop("names") == NAMES
    assert event == orjson.loads(dump(EVENT))


def test_an_event_with_names_fits_the_schema(load: Load) -> None:
    Draft202012Validator(SCHEMA).validate(sent(load("names: true")))


@pytest.mark.parametrize("settings", ["names: false", "timeout: 5s"])
def test_an_event_has_none_if_the_target_does_not(load: Load, settings: str) -> None:
    assert request(load(settings).targets["bot"]).body == dump(EVENT)


def test_what_is_signed_is_what_is_sent(load: Load) -> None:
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
    made = request(load(f"names: true, secret: {secret}").targets["bot"])
    signed = f"{EVENT.id}.{int(NOW.timestamp())}.".encode() + made.body
    expected = base64.b64encode(hmac.digest(base64.b64decode(secret), signed, "sha256")).decode()
    assert made.own_headers["webhook-signature"] == f"v1,{expected}"


def test_each_event_of_a_batch_has_its_own_names(load: Load) -> None:
    other = replace(EVENT, data={"responsible_user_id": 502})
    events = sent(load("names: true, batch: {most: 2}"), EVENT, other)
    assert [each["names"] for each in events] == [NAMES, {"responsible": "Иван Иванов"}]


def test_a_cloudevent_has_names_in_its_data(load: Load) -> None:
    assert sent(load("names: true, format: cloudevents"))["data"]["names"] == NAMES


@pytest.mark.parametrize("names", ["", ", names: true"])
def test_a_template_has_names_whether_the_event_does_or_not(load: Load, names: str) -> None:
    body = '{text: "{{ names.pipeline }}/{{ names.status }}{{ names.old_status }}", event: "{{ event }}"}'
    found = sent(load(f"body: {body}{names}"))
    assert found["text"] == "Продажи/Оффер"
    assert found["event"].get("names") == (NAMES if names else None)


def test_a_template_of_a_batch_has_the_names_of_each_event(load: Load) -> None:
    body = '{texts: "{% for each in events %}{{ each.names.status }};{% endfor %}"}'
    assert sent(load(f"body: {body}, batch: {{most: 2}}"), EVENT, EVENT)["texts"] == "Оффер;Оффер;"


@pytest.mark.parametrize(
    "where", ['headers: {X-Stage: "{{ names.created_by }}"}', 'query: {stage: "{{ names.status }}"}']
)
def test_names_may_stand_anywhere_in_a_request(load: Load, where: str) -> None:
    made = request(load(f"{where}, names: true").targets["bot"])
    assert orjson.loads(made.body)["names"] == NAMES
    assert "stage=%D0%9E" in made.url or made.own_headers["x-stage"] == ""


def test_names_that_are_not_known_are_none(load: Load) -> None:
    config = load('names: true, query: {stage: "{{ names.status }}"}', known=False)
    assert sent(config)["names"] == {}
    assert request(config.targets["bot"]).url == "https://bot.example/in?stage="


def test_a_request_is_explained_with_its_names(load: Load) -> None:
    shown = shown_request(load("names: true"), "bot", EVENT, None, now=NOW)  # no original: it is JSON
    assert orjson.loads(shown.body)["names"] == NAMES


def test_a_reload_with_the_same_names_leaves_a_target_as_it_is(load: Load) -> None:
    assert load("names: true").targets == load("names: true").targets


@pytest.mark.parametrize(
    ("settings", "account", "problem"),
    [
        ("names: true, format: form", ", account: main", "cannot stand beside format: form, which is what amoCRM sent"),
        ("names: yes-please", ", account: main", "must be true or false"),
    ],
)
def test_names_that_cannot_be_are_a_problem(load: Load, settings: str, account: str, problem: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        load(settings, account)
    assert [(each.path, each.message) for each in refused.value.problems] == [("targets.bot.names", problem)]


def test_a_template_with_a_name_that_no_event_has_is_warned_of(tmp_path: Path) -> None:
    text = FILE.format(target='body: {text: "{{ names.statuss }}"}', account=", account: main")
    found: Checked = check(text.encode(), name="routes.yaml", env={})
    assert [each.message for each in found.warnings if each.path.startswith("targets")] == [
        "there is no name 'statuss' (did you mean 'status'?)"
    ]


def test_names_without_an_account_are_warned_of() -> None:
    found = check(FILE.format(target="names: true", account="").encode(), name="routes.yaml", env={})
    assert "are looked up in amoCRM, and no source has an account: always empty" in [w.message for w in found.warnings]
