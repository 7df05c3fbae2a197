"""`/-/forward`: events with their JSON, for a few at a time, and never more in memory than the stream allows."""

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from relay.admin.tail import MAX_FOLLOWERS, MAX_FORWARDERS
from relay.amocrm.events import dump
from relay.model import Event, PlannedDelivery, RoutedEvent, Webhook
from relay.signals import WebhookStored
from tests.admin.conftest import Relay
from tests.e2e.processes import until

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def stored(*targets: str) -> WebhookStored:
    event = Event(id="e-1", source="crm", received_at=NOON, account={}, entity="leads", action="add", data={"id": 7})
    planned = tuple(PlannedDelivery(target=name, routes=("all",)) for name in targets)
    return WebhookStored(
        webhook=Webhook(id="w-1", source="crm", received_at=NOON, body=b"leads[add][0][id]=7"),
        routed=[RoutedEvent(event=event, payload=dump(event), planned=planned, routes=("all",))],
        deliveries=len(targets),
        took=timedelta(),
    )


async def test_a_forwarder_gets_the_event_and_who_follows_does_not(relay: Relay) -> None:
    client = await relay.client()
    async with client.get("/-/forward") as forwarder, client.get("/-/tail") as follower:
        relay.live(stored("warehouse"))
        document = json.loads(await forwarder.content.readline())
        assert document["payload"]["data"] == {"id": 7}
        assert (document["event"], document["type"], document["routes"]) == ("e-1", "leads.add", ["all"])
        assert "payload" not in json.loads(await follower.content.readline())


async def test_a_forwarder_may_ask_for_what_is_routed_to_one_target(relay: Relay) -> None:
    client = await relay.client()
    async with client.get("/-/forward", params={"target": "warehouse", "originals": "1"}) as forwarder:
        relay.live(stored("bot"))
        relay.live(stored("bot", "warehouse"))
        document = json.loads(await forwarder.content.readline())
        assert (document["position"], document["of"], document["sent"]["content_type"]) == (0, 1, "")
        await client.server.close()
        assert await forwarder.content.read() == b"", "the other event is for another target"


async def test_a_target_that_there_is_not_is_refused(relay: Relay) -> None:
    answer = await (await relay.client()).get("/-/forward", params={"target": "warehous"})
    assert (answer.status, await answer.text()) == (
        422,
        "no target 'warehous' in its routes (did you mean 'warehouse'?)\n",
    )


async def test_forwarders_are_fewer_than_followers_and_leave_their_place(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.tail.HEARTBEAT", 0.02)
    assert MAX_FORWARDERS < MAX_FOLLOWERS
    client = await relay.client()
    async with AsyncExitStack() as stack:
        for _ in range(MAX_FORWARDERS):
            assert (await stack.enter_async_context(client.get("/-/forward"))).status == 200
        answer = await client.get("/-/forward")
        assert (answer.status, await answer.text()) == (503, "4 forward already\n")
        assert (await stack.enter_async_context(client.get("/-/tail"))).status == 200
    await until(lambda: not relay.live.followers)
    async with client.get("/-/forward") as answer:
        assert answer.status == 200
