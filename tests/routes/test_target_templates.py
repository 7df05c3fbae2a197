"""What a target's requests are rendered of: read, checked, equal after a reload that changes nothing."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from relay.delivery.template_renderer import new_renderer
from relay.errors import RoutesInvalid, TemplateFailed
from relay.model import Secret, Target
from relay.routes.config import Config, parse
from tests.delivery.conftest import NOON, delivery
from tests.routes.conftest import ENV

TargetFile = Callable[..., Config]

TELEGRAM = """
version: 1
sources: {crm: {token: "${CRM_TOKEN}"}}
targets:
  bot:
    url: https://bot.example/bot${BOT}/lead/{{ data.id }}?name={{ data.name }}
    method: PUT
    headers:
      X-Lead: "{{ data.name }}"
      X-Key: ${BOT}
    query: {at: "{{ timestamp }}", key: "${KEY}", v: 2}
    body:
      chat_id: -1001234567890
      id: "{{ data.id }}"
      key: "${KEY} {{ data.id }}"
      price: 1.5
      none: "{{ data.absent }}"
      text: |
        Lead {{ data.id }}: {{ data.name | default("no name") }}
        {% for tag in data.tags %}#{{ tag.name }} {% endfor %}
routes: [{name: all, match: {entity: leads}, to: bot}]
"""
SECRETS = {"BOT": "canary:bot", "KEY": "canary&key"}
LEAD: dict[str, Any] = {
    "id": "01998f00",
    "timestamp": "2026-11-22T10:53:00.123Z",
    "data": {"id": 7, "name": 'Окна & "двери"\r\nX: 1', "tags": [{"name": "a"}, {"name": "b"}]},
}


def bot(text: str = TELEGRAM, **env: str) -> Target:
    return parse(text, file="routes.yaml", env=ENV | SECRETS | env).targets["bot"]


def rendered(target: Target, event: dict[str, Any] | None = None) -> Any:
    return new_renderer(target).render(delivery(payload=orjson.dumps(event or LEAD)), now=NOON)


def test_all_that_a_request_has_can_be_rendered() -> None:
    request = rendered(bot())
    name = "%D0%9E%D0%BA%D0%BD%D0%B0%20%26%20%22%D0%B4%D0%B2%D0%B5%D1%80%D0%B8%22%0D%0AX%3A%201"
    assert request.method == "PUT"
    assert request.url == (
        f"https://bot.example/botcanary:bot/lead/7?name={name}&at=2026-11-22T10%3A53%3A00.123Z&key=canary%26key&v=2"
    )
    assert orjson.loads(request.body) == {
        "chat_id": -1001234567890,
        "id": 7,
        "key": "canary&key 7",
        "price": 1.5,
        "none": None,
        "text": 'Lead 7: Окна & "двери"\r\nX: 1\n#a #b \n',
    }
    headers = request.all_headers
    assert (headers["x-lead"], headers["x-key"]) == ('Окна & "двери"  X: 1', "canary:bot")
    assert headers["content-type"] == "application/json"


def test_what_an_event_lacks_is_empty_and_nothing_fails_of_it() -> None:
    request = rendered(bot(), {"id": "01998f00", "data": {}})
    assert request.url == "https://bot.example/botcanary:bot/lead/?name=&at=&key=canary%26key&v=2"
    assert orjson.loads(request.body)["text"] == "Lead : no name\n\n"


@pytest.mark.parametrize("name", ["..", "."])
def test_an_event_that_would_change_the_path_upwards_is_not_rendered(name: str) -> None:
    climbing = bot(TELEGRAM.replace("/lead/{{ data.id }}", "/{{ data.name }}"))
    with pytest.raises(TemplateFailed, match=r"^url: "):
        rendered(climbing, {"data": {"name": name}})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a" * 1_000_000, "query.a: the output is over 8,192 characters"),
        ("Окна" * 1_000, "query: the URL is over 8,192 characters"),
    ],
)
def test_an_event_cannot_make_a_url_that_no_server_takes(target_file: TargetFile, name: str, problem: str) -> None:
    target = target_file('query: {a: "{{ data.name }}", b: 1}').targets["bot"]
    with pytest.raises(TemplateFailed) as failed:
        rendered(target, {"data": {"name": name}})
    assert str(failed.value) == problem


def test_half_a_character_in_a_query_is_replaced(target_file: TargetFile) -> None:
    target = target_file("""query: {a: '{{ "\\ud800" }}'}""").targets["bot"]
    assert rendered(target).url.endswith("?a=%EF%BF%BD")


def test_what_is_secret_in_it_is_known_to_be_masked() -> None:
    assert set(bot().hidden) == {Secret("canary:bot"), Secret("canary&key")}
    assert {"canary:bot", "canary&key", "canary%26key"} <= set(rendered(bot()).secrets)


def test_a_reload_without_a_change_gives_an_equal_target() -> None:
    assert bot() == bot()
    assert bot() != bot(KEY="another canary")
    for change in ("data.id", "no name", "chat_id", "timestamp", "X-Lead", "method: PUT\n"):
        assert bot() != bot(TELEGRAM.replace(change, {"method: PUT\n": "\n"}.get(change, "type"), 1)), change


def test_a_text_is_sent_as_the_target_says(target_file: TargetFile) -> None:
    for written, sent in (("", "text/plain; charset=utf-8"), (', content_type: "text/csv"', "text/csv")):
        request = rendered(target_file(f'body: "{{{{ data.id }}}};x\\r\\n"{written}').targets["bot"])
        assert (request.body, request.all_headers["content-type"]) == (b"7;x\r\n", sent)


def test_a_format_that_is_a_default_gives_way_to_a_body(target_file: TargetFile) -> None:
    target = target_file("body: {id: 1}", defaults="{format: form}").targets["bot"]
    assert rendered(target).body == b'{"id":1}'


def test_a_url_or_a_header_without_a_template_is_what_it_was(target_file: TargetFile) -> None:
    plain = target_file('headers: {X-Odd: "{ {a} }", X-Key: "${KEY}"}', KEY="{{ data.id }}").targets["bot"]
    assert not plain.has_templates
    assert plain.headers == {"X-Odd": Secret("{ {a} }"), "X-Key": Secret("{{ data.id }}")}


def test_the_templates_of_a_target_with_batches_read_events(target_file: TargetFile) -> None:
    rows = 'batch: {most: 10}, body: "{% for each in events %}{{ each.data.id }};{% endfor %}"'
    target = target_file(rows, defaults="{format: form}").targets["bot"]
    renderer = new_renderer(target)
    assert renderer.render(delivery(payload=orjson.dumps([LEAD, LEAD])), now=NOON).body == b"7;7;"
    for wrong in ('batch: {most: 10}, body: "{{ data.id }}"', 'body: "{{ events }}"'):
        with pytest.raises(RoutesInvalid, match="no name"):
            target_file(wrong)


def test_what_a_secret_holds_is_never_a_template(target_file: TargetFile) -> None:
    odd = target_file('body: {a: "${KEY} {{ data.id }}", b: "${KEY}"}', KEY="{{ data.name }}").targets["bot"]
    assert orjson.loads(rendered(odd).body) == {"a": "{{ data.name }} 7", "b": "{{ data.name }}"}


def test_without_secrets_what_is_sent_is_read_all_the_same() -> None:
    config = parse(TELEGRAM, file="routes.yaml", env=ENV, stand_ins=True)
    assert config.targets["bot"].body is not None
    with pytest.raises(RoutesInvalid, match="the variable KEY is not set"):
        parse(TELEGRAM, file="routes.yaml", env=ENV | {"BOT": "canary:bot"})


def test_as_written_it_shows_no_secret() -> None:
    config = parse(TELEGRAM, file="routes.yaml", env=ENV | SECRETS)
    request = rendered(config.target_as_written("bot"))
    assert request.url.startswith("https://bot.example/bot${BOT}/lead/7?name=")
    assert orjson.loads(request.body)["key"] == "${KEY} 7"
    assert "canary" not in f"{request.url} {request.body.decode()}"
    assert config.target_as_written("bot") is config.target_as_written("bot")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('body: "x", format: json', "  targets.bot.format: cannot stand beside body"),
        ("content_type: text/csv", "  targets.bot.content_type: needs a body beside it that is text"),
        ("body: {a: 1}, content_type: text/csv", "  targets.bot.content_type: is for a body that is text"),
        ('body: "x", content_type: csv', "  targets.bot.content_type: must be a media type"),
        ("body: 5", "  targets.bot.body: must be a mapping, a list or text"),
        ("query: {a: true}", "  targets.bot.query.a: must be text: put it in quotes"),
        ("query: {}", "  targets.bot.query: must not be empty"),
        ("method: GET", "  targets.bot.method: must be one of POST, PUT, PATCH"),
        ("body: {a: {{ data.id }}}", 'a template needs quotes: "{{ … }}"'),
    ],
)
def test_what_cannot_be_is_said(target_file: TargetFile, settings: str, problem: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        target_file(settings)
    assert any(problem in line for line in refused.value.lines()), refused.value.lines()
