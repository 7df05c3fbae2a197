"""`relay.operations.forward`: what forwarders are sent, and that they make of it the very request of the target."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from relay.amocrm import events, form
from relay.delivery.batch import batch_id
from relay.delivery.payload import Original, original_body
from relay.delivery.request import render, render_raw
from relay.errors import NotFoundError
from relay.model import Delivery, Target, Webhook
from relay.operations.forward import documents, event_of, forwarded, forwarding_target
from relay.routes.config import Config, parse
from relay.routes.plan import plan, plan_raw
from relay.signals import Committed, WebhookStored

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
URL = "http://127.0.0.1:3000/hook"
BODY = b"leads[add][0][id]=7&leads[add][0][name]=%D0%90%D0%BD%D0%BD%D0%B0&leads[add][1][id]=8&leads[add][1][price]=1.50"

ROUTES = """
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets:
  json: {url: "https://bot.example/in", secret: "${SECRET}", headers: {X-Key: "${KEY}", X-Env: production}}
  events: {url: "https://bot.example/in", format: cloudevents, method: PATCH}
  form: {url: "https://bot.example/in?from=relay", format: form}
  rows: {url: "https://bot.example/in", batch: {most: 100}}
  other: {url: "https://bot.example/in"}
  rendered:
    url: "https://bot.example/{{ data.id }}"
    headers: {X-Id: "{{ data.id }}"}
    query: {id: "{{ data.id }}", key: "${KEY}"}
    body: {id: "{{ data.id }}", key: "${KEY}"}
routes:
  - {name: all, match: {entity: leads}, to: [json, events, form, rows, rendered]}
  - {name: rest, otherwise: true, to: other}
  - {name: unread, unparsed: true, to: form}
"""
ENV = {"TOKEN": "canary-token-0123456789", "SECRET": "Y2FuYXJ5LXNlY3JldA==", "KEY": "canary-key-0123456789"}


@pytest.fixture
def config() -> Config:
    return parse(ROUTES, file="routes.yaml", env=ENV)


def webhook(body: bytes = BODY, unparsed: str | None = None) -> Webhook:
    return Webhook(
        id="w-1",
        source="crm",
        received_at=NOON,
        body=body,
        content_type="application/x-www-form-urlencoded",
        query="try=1",
        signature="0a1b",
        unparsed=unparsed,
    )


def stored(config: Config, kept: Webhook) -> WebhookStored:
    ids = (str(UUID(int=number)) for number in range(1, 9))
    if kept.unparsed is not None:
        routed = plan_raw(kept, config, new_id=lambda: next(ids))
    else:
        found = events.read(
            form.decode(kept.body), source="crm", received_at=NOON, new_id=lambda: next(ids), query=kept.query
        )
        routed = [plan(event, config) for event in found]
    return WebhookStored(webhook=kept, routed=routed, deliveries=len(routed), took=timedelta())


def received(signal: Any, target: str | None, *, originals: bool = False) -> list[dict[str, Any]]:
    """As they come out of the stream."""
    return [orjson.loads(orjson.dumps(each)) for each in documents(target, originals=originals)(signal)]


def delivery(event_id: str, target: Target, payload: bytes) -> Delivery:
    return Delivery(
        event_id=event_id,
        target=target.name,
        attempt=1,
        policy_attempt=1,
        received_at=NOON,
        pending_since=NOON,
        payload=payload,
    )


def without(headers: Any, *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


@pytest.mark.parametrize("name", ["json", "events", "form"])
def test_a_target_would_get_the_same_request_but_for_its_secrets(name: str, config: Config) -> None:
    signal = stored(config, webhook())
    target = config.targets[name]
    mine = forwarding_target(config, name, URL)
    for position, document in enumerate(received(signal, name, originals=name == "form")):
        routed = signal.routed[position]
        sent = Original(
            body=original_body(BODY, signal.webhook.content_type, position=position, of=2), query=signal.webhook.query
        )
        expected = render(delivery(routed.event.id, target, routed.payload), target, now=NOON, original=sent)
        made = forwarded(document, mine, now=NOON)
        assert (made.method, made.body) == (expected.method, expected.body)
        assert made.all_headers == {
            **without(expected.all_headers, "webhook-signature", "x-key"),
            "relay-forwarded": "true",
        }
        assert made.url == (f"{URL}?try=1" if name == "form" else URL)
    assert position == 1


def test_what_a_target_has_rendered_is_rendered_but_for_its_secrets(config: Config) -> None:
    document = received(stored(config, webhook()), "rendered")[0]
    made = forwarded(document, forwarding_target(config, "rendered", URL), now=NOON)
    assert (made.url, made.body) == (f"{URL}?id=7&key=%24%7BKEY%7D", b'{"id":7,"key":"${KEY}"}')
    assert made.all_headers["x-id"] == "7"


def test_without_a_target_every_event_is_forwarded_as_json_once(config: Config) -> None:
    signal = stored(config, webhook())
    made = [forwarded(document, Target(name="", url=URL), now=NOON) for document in received(signal, None)]
    assert [each.body for each in made] == [each.payload for each in signal.routed]
    assert [each.all_headers["webhook-id"] for each in made] == [each.event.id for each in signal.routed]
    [other] = received(stored(config, webhook(b"contacts[add][0][id]=9")), None)
    assert (other["type"], other["routes"]) == ("contacts.add", ["rest"])


def test_of_a_target_with_batches_each_event_is_a_batch_of_its_own(config: Config) -> None:
    signal = stored(config, webhook())
    target = forwarding_target(config, "rows", URL)
    made = [forwarded(document, target, now=NOON) for document in received(signal, "rows")]
    assert [each.body for each in made] == [b"[%s]" % each.payload for each in signal.routed]
    assert [each.all_headers["webhook-id"] for each in made] == [batch_id([each.event.id]) for each in signal.routed]


def test_what_is_routed_elsewhere_is_not_for_this_target(config: Config) -> None:
    signal = stored(config, webhook(b"contacts[add][0][id]=9"))
    assert received(signal, "json") == []
    assert len(received(signal, "other")) == 1


def test_a_webhook_that_cannot_be_read_is_forwarded_where_it_is_routed_to(config: Config) -> None:
    kept = webhook(b"hello", unparsed="no events")
    signal = stored(config, kept)
    assert received(signal, None) == received(signal, "json") == []
    [document] = received(signal, "form")
    assert event_of(document) is None
    made = forwarded(document, forwarding_target(config, "form", URL), now=NOON)
    raw = delivery(signal.routed[0].event.id, config.targets["form"], b"")
    expected = render_raw(raw, config.targets["form"], kept, now=NOON)
    assert (made.body, made.url) == (b"hello", f"{URL}?try=1")
    assert made.all_headers == {**expected.all_headers, "relay-forwarded": "true"}


def test_no_secret_is_in_what_is_forwarded(config: Config) -> None:
    [document, _] = received(stored(config, webhook()), "json", originals=True)
    made = forwarded(document, forwarding_target(config, "json", URL), now=NOON)
    assert made.all_headers["x-env"] == "production"
    shown = repr([made.url, made.all_headers, made.body, document])
    assert not [secret for secret in ENV.values() if secret in shown]


def test_a_target_that_there_is_not_is_said_with_a_near_one(config: Config) -> None:
    with pytest.raises(NotFoundError, match=r"routes.yaml has no target 'jsn' \(did you mean 'json'\?\)"):
        forwarding_target(config, "jsn", URL)


def test_the_size_of_a_document_is_that_of_what_it_carries(config: Config) -> None:
    make: Callable[..., Any] = documents("form", originals=True)
    first, _ = make(stored(config, webhook()))
    assert first["size"] == len(orjson.dumps(first["payload"])) + len(orjson.dumps(first["sent"]))


def test_nothing_but_stored_webhooks_is_forwarded() -> None:
    assert received(Committed(writes=1, took=timedelta()), None) == []
