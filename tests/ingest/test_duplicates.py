"""A webhook that amoCRM repeats, because the answer was lost on its way: kept once, delivered once, answered alike."""

from urllib.parse import urlencode

from relay.signals import DuplicateReceived, WebhookStored
from tests.e2e.processes import until
from tests.scene import LEAD, TOKEN, Scene, form

CHANGED = LEAD | {"last_modified": 1764000600}


async def test_a_duplicate_is_answered_with_the_first_id_and_delivered_once(scene: Scene) -> None:
    body = form(CHANGED, CHANGED | {"id": 502, "name": "m2"})
    first = await scene.post(body)
    second = await scene.post(body)
    assert (second.status, second.headers["content-type"]) == (200, "application/json")
    assert second.body == {"webhook": first.body["webhook"], "events": 2, "deliveries": 0, "duplicate": True}
    await scene.post(form(LEAD | {"name": "last"}))
    await until(lambda: "last" in scene.targets.accepted("bot"))
    assert sorted(scene.targets.accepted("bot")) == ["last", "m1", "m2"]


async def test_a_duplicate_is_announced_as_such_and_not_as_stored(scene: Scene) -> None:
    first = await scene.post(form(CHANGED))
    await scene.post(form(CHANGED))
    assert [type(each) for each in scene.facts.signals if isinstance(each, WebhookStored | DuplicateReceived)] == [
        WebhookStored,
        DuplicateReceived,
    ]
    [repeated] = [each for each in scene.facts.signals if isinstance(each, DuplicateReceived)]
    assert (repeated.first, repeated.webhook.source) == (first.body["webhook"], "crm")
    assert [each.event.entity_id for each in repeated.routed] == ["501"], "its line in the log is found by it"


async def test_one_change_at_two_sources_is_two_webhooks(scene: Scene) -> None:
    answers = [await scene.post(form(CHANGED), source=source) for source in ("crm", "shop")]
    assert [each.body["deliveries"] for each in answers] == [1, 1]


async def test_a_change_and_a_later_one_are_two_webhooks(scene: Scene) -> None:
    answers = [await scene.post(form(CHANGED | {"last_modified": second})) for second in (1764000600, 1764000601)]
    assert [each.body["deliveries"] for each in answers] == [1, 1]


async def test_of_concurrent_duplicates_one_is_stored(scene: Scene) -> None:
    head = f"Host: relay\r\nContent-Length: {len(form(CHANGED))}\r\n\r\n".encode()
    request = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\n".encode() + head + form(CHANGED)
    async with scene.connected() as one, scene.connected() as other:
        for _, writer in (one, other):
            writer.write(request)
        for reader, _ in (one, other):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert sorted(
        type(each).__name__ for each in scene.facts.signals if isinstance(each, WebhookStored | DuplicateReceived)
    ) == [
        "DuplicateReceived",
        "WebhookStored",
    ]


# ---- times are whole seconds


def moved(old: int, new: int, second: int = 1764000600) -> bytes:
    return form(LEAD | {"name": f"to {new}", "status_id": new, "old_status_id": old, "last_modified": second})


async def test_there_and_back_and_there_again_within_a_second_are_three_deliveries(scene: Scene) -> None:
    answers = [await scene.post(each) for each in (moved(100, 200), moved(200, 100), moved(100, 200))]
    assert [each.body["deliveries"] for each in answers] == [1, 1, 1]
    again = await scene.post(moved(100, 200))
    assert again.body == {"webhook": answers[2].body["webhook"], "events": 1, "deliveries": 0, "duplicate": True}
    await until(lambda: len(scene.targets.accepted("bot")) == 3)
    assert sorted(scene.targets.accepted("bot")) == ["to 100", "to 200", "to 200"]


async def test_after_a_later_change_the_old_body_is_still_a_duplicate(scene: Scene) -> None:
    first, _later = [await scene.post(each) for each in (moved(100, 200), moved(200, 100, 1764000630))]
    again = await scene.post(moved(100, 200))
    assert again.body == {"webhook": first.body["webhook"], "events": 1, "deliveries": 0, "duplicate": True}


# ---- a source that says so


async def test_where_the_source_has_a_window_whatever_is_equal_is_one_webhook(scene: Scene) -> None:
    first, second = [await scene.post(form(LEAD), source="pipeline") for _ in range(2)]
    assert second.body == {"webhook": first.body["webhook"], "events": 1, "deliveries": 0, "duplicate": True}


async def test_there_an_unparsed_webhook_is_deduplicated_too(scene: Scene) -> None:
    first, second = [await scene.post(b"hello", source="pipeline") for _ in range(2)]
    assert second.body == {"webhook": first.body["webhook"], "events": 0, "deliveries": 0, "duplicate": True}
    assert (await scene.relay.store.status()).unparsed == 1


async def test_a_deletion_carries_no_time_and_is_never_a_duplicate(scene: Scene) -> None:
    body = urlencode({"leads[delete][0][id]": 501}).encode()
    answers = [await scene.post(body) for _ in range(2)]
    assert ["duplicate" in each.body for each in answers] == [False, False]
