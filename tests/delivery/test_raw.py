"""A raw delivery's request: the unparsed webhook as it came, whatever the target's format; none once it was read."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.delivery.attempt import attempt
from relay.delivery.request import Renderer, render_raw
from relay.delivery.send import Sender
from relay.model import Event, Format, Method, PlannedDelivery, Reason, RoutedEvent, Secret, Webhook
from relay.store.sqlite.store import SqliteStore
from tests.delivery.conftest import NOON, SECOND, delivery, target

HOOK = Webhook(
    id="webhook-1",
    source="chats",
    received_at=NOON,
    body=b'{"text":"\xd0\x96"} ',
    content_type="application/json; odd",
    query="a=%2f&b",
    signature="0af1",
    unparsed="no events",
)


@pytest.mark.parametrize("format_", Format)
def test_it_is_the_webhook_byte_for_byte_whatever_the_format(format_: Format) -> None:
    request = render_raw(
        delivery(payload=b""), target(format=format_, url="https://bot.example/in?k=1"), HOOK, now=NOON
    )
    assert request.body == HOOK.body
    assert request.url == "https://bot.example/in?k=1&a=%2f&b"
    assert {name: request.all_headers[name] for name in ("content-type", "x-signature", "relay-unparsed")} == {
        "content-type": "application/json; odd",
        "x-signature": "0af1",
        "relay-unparsed": "no events",
    }
    assert request.all_headers["webhook-id"] == delivery().event_id


def test_it_goes_by_the_method_of_the_target() -> None:
    assert render_raw(delivery(payload=b""), target(method=Method.PUT), HOOK, now=NOON).method == "PUT"


def test_what_did_not_come_is_not_invented() -> None:
    bare = replace(HOOK, content_type="", query="", signature="")
    request = render_raw(delivery(payload=b""), target(), bare, now=NOON)
    assert request.url == "https://bot.example/in"
    assert not {"content-type", "x-signature"} & request.all_headers.keys()


def test_the_reason_is_text_that_a_header_can_carry() -> None:
    odd = replace(HOOK, unparsed="keys: имя\r\nX-Evil: 1\x00" + "x" * 1000)
    reason = render_raw(delivery(payload=b""), target(), odd, now=NOON).all_headers["relay-unparsed"]
    assert reason.startswith("keys: ?????X-Evil: 1?xxx")
    assert len(reason) == 300


def test_the_targets_own_headers_and_signature_are_on_it_too() -> None:
    own = target(headers={"Authorization": Secret("Bearer b")}, secrets=(Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),))
    headers = render_raw(delivery(payload=b"", attempt=3, replay=True), own, HOOK, now=NOON).all_headers
    assert headers["authorization"] == "Bearer b"
    assert headers["webhook-signature"].startswith("v1,")
    assert (headers["relay-attempt"], headers["relay-replay"]) == ("3", "true")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    yield opened
    await opened.close()


async def test_one_that_was_read_while_it_waited_for_its_turn_is_not_sent(store: SqliteStore) -> None:
    event = Event(id="event-1", source="chats", received_at=NOON, account={}, entity="", action="", data={})
    raw = RoutedEvent(event=event, payload=b"", planned=(PlannedDelivery(target="bot", routes=("raw",), lease=SECOND),))
    [claimed] = await store.keep(HOOK, [raw])
    await store.keep(replace(HOOK, unparsed=None), [])
    sender = Sender(clock=lambda: NOON)
    unreachable = Renderer(target(url="http://127.0.0.1:1/"))
    outcome = await attempt(claimed, unreachable, store=store, sender=sender, clock=lambda: NOON)
    await sender.close()
    assert (outcome.reason, "has been reparsed" in outcome.detail) == (Reason.REQUEST, True)
