"""`relay.observe.event_stream`: what those who watch are told, and that nobody waits for them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from relay.model import Dead, Reason, RetryAt
from relay.observe import EventStream
from relay.observe.event_stream import MAX_BEHIND
from relay.signals import Committed, DuplicateReceived, Probed, Rejection, Signal
from tests.observe.conftest import NOON, attempted, event, kept, refused

PAYLOAD = b'{"type": "leads.note", "action": "note", "data": {"id": 5, "element_id": 7}}'


def an_attempt(*arguments: Any, **more: Any) -> Signal:
    made = attempted(*arguments, **more)
    return replace(made, delivery=replace(made.delivery, payload=PAYLOAD))


async def told(*signals: Signal) -> list[dict[str, Any]]:
    live = EventStream(lambda: NOON)
    with live.following() as follower:
        for signal in signals:
            live(signal)
        live.end()
        return await follower.news()


async def test_each_event_is_told_with_the_routes_that_took_it() -> None:
    first, second = await told(kept(event(), event("contacts", "add"), routes=[["offer"], []]))
    assert first == {
        "at": "2026-11-22T12:00:00.000Z",
        "what": "event",
        "source": "crm",
        "webhook": "w-1",
        "event": "e-1",
        "type": "leads.status",
        "entity_id": "4831596",
        "routes": ["offer"],
    }
    assert (second["type"], second["routes"]) == ("contacts.add", [])


async def test_an_attempt_is_told_with_what_it_was_about_and_what_follows() -> None:
    delivered, again, dead = await told(
        an_attempt(),
        an_attempt(Reason.SERVER_ERROR, RetryAt(NOON + timedelta(seconds=4)), status=503, detail="busy"),
        an_attempt(Reason.CLIENT_ERROR, Dead("answered 400, which is in dead_on"), status=400),
    )
    assert delivered == {
        "at": "2026-11-22T12:00:00.000Z",
        "what": "attempt",
        "target": "warehouse",
        "event": "e-1",
        "type": "leads.note",
        "entity_id": "7",
        "attempt": 2,
        "replay": False,
        "reason": "2xx",
        "status": 200,
        "took": 0.01234,
        "detail": "",
        "verdict": "delivered",
    }
    assert (again["verdict"], again["due_at"], again["detail"]) == ("retry", "2026-11-22T12:00:04.000Z", "busy")
    assert (dead["verdict"], dead["why"]) == ("dead", "answered 400, which is in dead_on")


async def test_what_is_damaged_is_told_without_what_it_was_about() -> None:
    made = attempted(Reason.CORRUPT, Dead("corrupt"), status=None)
    [told_] = await told(replace(made, delivery=replace(made.delivery, payload=b"\0\xff", corrupt=True)))
    assert (told_["verdict"], told_["type"], told_["entity_id"]) == ("dead", "", "")


async def test_a_fact_that_cannot_be_told_trips_nobody() -> None:
    made = attempted()
    [told_] = await told(replace(made, delivery=replace(made.delivery, payload=b"\0\xff")))
    assert told_["what"] == "fault"


async def test_what_was_not_kept_or_not_read_or_kept_before_is_told_too() -> None:
    webhook = kept().webhook
    found = await told(
        kept(unparsed="no events"),
        refused(detail="wrong"),
        DuplicateReceived(webhook=webhook, first="w-0", took=timedelta()),
    )
    assert [{name: value for name, value in each.items() if name != "at"} for each in found] == [
        {"what": "unparsed", "source": "crm", "webhook": "w-1", "unparsed": "no events"},
        {"what": "refused", "source": "-", "outcome": "unauthorized", "remote": "192.0.2.7", "detail": "wrong"},
        {"what": "duplicate", "source": "crm", "webhook": "w-0"},
    ]


async def test_a_misaddressed_request_is_told_with_its_address_a_stranger_not_at_all() -> None:
    wrong = replace(refused(Rejection.MISADDRESSED, detail="/hooks is missing"), address="POST /crm/***")
    [said, probe] = await told(refused(Rejection.STRANGER), wrong, Probed(source="crm", remote="192.0.2.7"))
    assert (said["what"], said["outcome"], said["address"]) == ("refused", "misaddressed", "POST /crm/***")
    assert (probe["what"], probe["source"], probe["remote"]) == ("probe", "crm", "192.0.2.7")


async def test_what_is_no_webhook_and_no_attempt_is_not_told() -> None:
    assert await told(Committed(writes=1, took=timedelta())) == []


async def test_a_follower_does_not_hear_of_what_is_not_told() -> None:
    live = EventStream(lambda: pytest.fail("asked for the time of what is not told"))
    with live.following() as follower:
        live(Committed(writes=1, took=timedelta()))
        live.end()
        assert await follower.news() == []


async def test_who_is_too_slow_misses_some_and_is_told_how_many() -> None:
    live = EventStream(lambda: NOON)
    with live.following() as follower:
        for _ in range(MAX_BEHIND + 5):
            live(refused())
        news = await follower.news()
        assert len(news) == MAX_BEHIND + 1
        assert news[-1] == {"at": "2026-11-22T12:00:00.000Z", "what": "missed", "number": 5}
        live(refused())
        assert [each["what"] for each in await follower.news()] == ["refused"]


async def test_nothing_is_made_of_a_fact_while_nobody_watches() -> None:
    live = EventStream(pytest.fail)
    live(refused())
    with live.following():
        assert live.followers == 1
    live(attempted())  # whose payload could not be read
    assert live.followers == 0


async def test_who_waits_is_woken_by_what_happens_and_by_the_end() -> None:
    live = EventStream(lambda: NOON)
    with live.following() as follower:
        waiting = asyncio.create_task(follower.news())
        await asyncio.sleep(0)
        live(refused())
        assert len(await waiting) == 1
        waiting = asyncio.create_task(follower.news())
        await asyncio.sleep(0)
        live.end()
        assert await waiting == []
