"""Warnings about templates: fields that nothing routed to their target has, and webhooks without fields."""

import pytest

from relay.routes.config import parse
from relay.routes.lint import warnings
from tests.routes.conftest import ENV

FILE = """\
version: 1
sources: {{crm: {{token: "${{CRM_TOKEN}}"}}}}
targets:
  bot:
    url: "https://bot.example/in?a={url}"
    headers: {{X-A: "{header}"}}
    query: {{q: "{query}"}}
    body:
      a: [1, "{body}"]
      b: |
        first
        {text}
routes:
  - {{name: some, match: {match}, to: bot}}
  - {{name: rest, otherwise: true, to: other}}
"""
OTHER = '  other: {url: "https://other.example/"}\n'


def warned(match: str = "{entity: leads}", **texts: str) -> list[str]:
    parts = {name: f"{{{{ {texts.get(name, 'data.id')} }}}}" for name in ("url", "header", "query", "body", "text")}
    text = FILE.format(match=match, **parts).replace("routes:", f"{OTHER}routes:")
    return [each.text("f") for each in warnings(parse(text, file="f", env=ENV))]


@pytest.mark.parametrize(
    "known",
    ["data.id", "data.custom_fields", "data.tags", "account.subdomain", "query.try", "timestamp", "names.status"],
)
def test_fields_that_are_known_are_left_alone(known: str) -> None:
    assert warned(url=known, header=known, query=known, body=known, text=known) == []


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("url", "f:5:5  targets.bot.url"),
        ("header", "f:6:15  targets.bot.headers.X-A"),
        ("query", "f:7:13  targets.bot.query.q"),
        ("body", "f:9:14  targets.bot.body.a[1]"),
        ("text", "f:10:7  targets.bot.body.b"),
    ],
)
def test_a_field_that_amocrm_does_not_send_is_noticed_where_it_is_read(where: str, place: str) -> None:
    said = "amoCRM is not known to send the field 'pipelin_id' (did you mean 'pipeline_id'?)"
    assert warned(**{where: "data.pipelin_id"}) == [f"{place}: {said}"]


@pytest.mark.parametrize(
    ("match", "noticed"),
    [
        ("{entity: leads}", True),
        ("{entity: [leads, contacts]}", True),
        ("{type: leads.status}", True),
        ("{entity: message}", False),
        ("{entity: [leads, message]}", False),
        ("{type: message.add}", False),
        ("{source: crm}", False),
    ],
)
def test_a_field_of_few_entities_is_noticed_unless_one_of_them_is_routed_there(match: str, noticed: bool) -> None:
    assert [("'phone'" in each) for each in warned(match, body="data.phone")] == [True] * noticed


def test_a_field_of_the_events_of_a_batch_is_judged_alike() -> None:
    rows = "{% for each in events %}{{ each.data.id }}{{ each.data.pipelin_id }}{% endfor %}"
    text = f'''
version: 1
sources: {{crm: {{token: "${{CRM_TOKEN}}"}}}}
targets: {{bot: {{url: "https://bot.example/", batch: {{}}, body: "{rows}"}}}}
routes: [{{name: all, otherwise: true, to: bot}}]
'''
    [said] = [each.text("f") for each in warnings(parse(text, file="f", env=ENV))]
    assert "targets.bot.body: amoCRM is not known to send the field 'pipelin_id'" in said


def test_a_custom_field_is_none_of_the_list_by_its_name() -> None:
    [said] = warned(text="data.custom_fields.PHONE")
    assert said.startswith("f:10:7  targets.bot.body.b: custom_fields is a list, of which no item has a 'PHONE'")
    assert warned(text='data.custom_fields | join(",", "name")') == []


def test_a_route_for_unparsed_webhooks_to_a_target_with_templates_is_noticed() -> None:
    text = FILE.format(match="{}", **dict.fromkeys(("url", "header", "query", "body", "text"), "x"))
    text = text.replace("match: {}", "unparsed: true").replace("routes:", f"{OTHER}routes:")
    said = [each.text("f") for each in warnings(parse(text, file="f", env=ENV))]
    assert any("routes[0].to: 'bot' has templates, and an unparsed webhook no fields" in each for each in said)
