"""The oracle and a target speak of the same things: what all webhooks told is what ought to have been told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from urllib.parse import urlsplit

import orjson
import pytest

from relay.amocrm import events
from relay.amocrm.shapes import BodyReader
from tests.fakeamo import SETTINGS, FakeAmo, VirtualClock
from tests.fakeamo.oracle import TELLABLE, expected, healed, told
from tests.fakeamo.traffic import Traffic
from tests.fakeamo.values import Json

HERE = "http://127.0.0.1:8080/hooks/crm/token"


@pytest.fixture
def busy(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> FakeAmo:
    """An account with a hook, triggers and a day behind it."""
    amo = new_amo()
    amo.subscribe(HERE, sorted(SETTINGS))
    for name in ("Переговоры", "Оффер"):
        amo.add_trigger(amo.structure.stage(name).id, f"{HERE}?b=2&a={name[0]}", "status", "add", "call_in", "chat")
    traffic = Traffic(amo, 5)
    for _ in range(500):
        traffic.change()
        clock.advance(10)
    return amo


def received(amo: FakeAmo) -> list[dict[str, Json]]:
    """What a target of a relay that loses nothing has."""
    numbers, reader = count(), BodyReader()
    return [
        orjson.loads(events.dump(event))
        for post in amo.due()
        for event in reader.read(
            post.body,
            "",
            source="crm",
            received_at=datetime.fromtimestamp(post.at, UTC),
            new_id=lambda: str(next(numbers)),
            query=urlsplit(post.destination).query,
        )
    ]


def test_all_that_webhooks_told_of_one_by_one_is_what_ought_to_have_been(busy: FakeAmo) -> None:
    found = told(received(busy))
    assert found == expected(busy.rows())
    assert found.total() > 300
    assert {each.channel.split(":")[0] for each in found} == {"account", "dp"}


def test_a_webhook_that_is_lost_is_missing_and_one_that_comes_twice_is_surplus(busy: FakeAmo) -> None:
    got, rows = received(busy), busy.rows()
    lost = next(at for at, event in enumerate(got) if event["action"] == "status")
    less = [event for at, event in enumerate(got) if at != lost]
    assert (expected(rows) - told(less)).total() == 1
    assert (told([*got, got[lost]]) - expected(rows)).total() == 1


def test_a_change_with_another_before_or_after_is_another_one(busy: FakeAmo) -> None:
    row = next(row for row in busy.rows() if row.action == "status" and row.exactness in TELLABLE)
    for other in (replace(row, old=(1, 2)), replace(row, new=(1, 2)), replace(row, channel="dp:status:1:")):
        assert expected([row]) != expected([other])


def test_healed_events_are_counted_by_channel_and_by_the_feeds_event() -> None:
    data = {"id": 7, "status_id": 3, "pipeline_id": 1, "old_status_id": 2}
    event = {"entity": "leads", "action": "status", "data": data, "heal": {"event_id": "a"}}
    by_trigger = {**event, "data": {**data, "old_pipeline_id": 1}, "query": {"b": "2", "a": "1"}}
    found = healed([event, event, by_trigger, {**event, "heal": None}])
    assert found == {("account", "status", "a"): 2, ("dp:status:3:a=1&b=2", "status", "a"): 1}
