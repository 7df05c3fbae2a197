"""What a target gets of a healed event."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from jsonschema import ValidationError

from relay.amocrm import events
from relay.delivery.batch import as_one
from relay.delivery.healed import unmarked
from relay.delivery.request import render
from relay.model import Delivery, Event, HealDelivery, PlannedDelivery, RoutedEvent, Webhook
from relay.model.heal import HealRecord, HealState
from relay.model.webhooks import HEAL
from relay.store.requests import KeepRequest
from relay.store.sqlite.store import SqliteStore
from tests.amocrm.conftest import VALIDATOR
from tests.delivery.bench import Bench
from tests.delivery.conftest import NOON, Receiver, delivery, target

HAPPENED = NOON - timedelta(hours=2)


def healed_event(**heal: object) -> Event:
    told = {"event_id": "e1", "exactness": "state", "found_at": "2026-11-22T12:00:00.000Z", "reason": "outage"}
    return Event(
        id="0199b3d0-1f2e-5a61-9c55-4d0e8f7a2b13",
        source="crm",
        received_at=NOON,
        account={"id": 9},
        entity="leads",
        action="status",
        data={"id": 7, "name": 'a "stale":true lead'},
        heal=told | heal,
        happened_at=HAPPENED,
    )


def healed(**heal: object) -> Delivery:
    return delivery(payload=events.dump(healed_event(**heal)), healed=True)


@pytest.mark.parametrize("exactness", ["exact", "state", "approximate"])
def test_the_header_says_how_exact_it_is(exactness: str) -> None:
    assert render(healed(exactness=exactness), target(), now=NOON).all_headers["relay-healed"] == exactness


def test_what_a_webhook_told_of_has_no_such_header() -> None:
    assert "relay-healed" not in render(delivery(), target(), now=NOON).all_headers


def test_a_batch_in_which_one_event_came_has_no_such_header() -> None:
    request = render(as_one([healed(), delivery()]), target(), now=NOON)
    assert "relay-healed" not in request.all_headers
    assert orjson.loads(request.body)[0]["heal"]["exactness"] == "state"


@pytest.mark.parametrize(
    ("words", "header"),
    [
        (["exact"], "exact"),
        (["exact", "exact"], "exact"),
        (["exact", "state", "exact"], "state"),
        (["approximate", "state", "exact"], "approximate"),
    ],
)
def test_a_batch_of_healed_events_has_the_header_of_the_least_exact(words: list[str], header: str) -> None:
    batch = as_one([healed(exactness=each) for each in words])
    assert render(batch, target(), now=NOON).all_headers["relay-healed"] == header


def test_a_target_that_does_not_ask_for_it_is_not_told_that_an_event_is_stale() -> None:
    bare = unmarked(healed(stale=True))
    assert bare.payload == healed().payload
    assert unmarked(healed()) is not None
    assert orjson.loads(bare.payload)["data"]["name"] == 'a "stale":true lead'
    corrupt = replace(healed(stale=True), corrupt=True, payload=b'{"stale":true')
    assert unmarked(corrupt) is corrupt


def test_the_event_that_comes_out_of_the_json_is_the_one_that_went_in() -> None:
    assert events.load(events.dump(healed_event())) == healed_event()
    assert orjson.loads(events.dump(healed_event()))["timestamp"] == "2026-11-22T10:00:00.000Z"


def test_the_json_is_what_the_schema_describes() -> None:
    for event in (healed_event(), healed_event(stale=True)):
        VALIDATOR.validate(orjson.loads(events.dump(event)))
    with pytest.raises(ValidationError, match="'guessed' is not one of"):
        VALIDATOR.validate(orjson.loads(events.dump(healed_event(exactness="guessed"))))


async def test_only_targets_that_ask_for_it_are_told_of_a_newer_webhook(
    tmp_path: Path, receivers: Callable[..., Awaitable[Receiver]]
) -> None:
    """A newer webhook of the lead was kept before, and an older one does not count."""
    plain, marking = await receivers(), await receivers()
    targets = target(name="plain", url=plain.url), target(name="marking", url=marking.url, heal=HealDelivery.MARK)
    planned = tuple(PlannedDelivery(target=each.name, routes=("all",)) for each in targets)
    async with Bench(tmp_path, *targets) as bench:
        for lead, about in ((7, HAPPENED + timedelta(seconds=1)), (8, HAPPENED - timedelta(seconds=1))):
            await bench.store.keep(came(lead, about), [routed_at(lead, about)])
        for lead in (7, 8):
            await heal(bench.store, lead, planned)
        await bench.until_attempted(4)
    for receiver, told in ((plain, {7: False, 8: False}), (marking, {7: True, 8: False})):
        sent = [orjson.loads(each.body) for each in receiver.requests]
        assert {each["data"]["id"]: each["heal"].get("stale", False) for each in sent} == told
        assert {each["timestamp"] for each in sent} == {"2026-11-22T10:00:00.000Z"}


def came(lead: int, at: datetime) -> Webhook:
    return Webhook(id=f"came-{lead}", source="crm", received_at=at, body=b"leads[update][0][id]=7")


def routed_at(lead: int, at: datetime) -> RoutedEvent:
    event = replace(healed_event(), id=f"real-{lead}", data={"id": lead}, received_at=at, heal=None, happened_at=None)
    return RoutedEvent(event=event, payload=events.dump(event))


async def heal(store: SqliteStore, lead: int, planned: tuple[PlannedDelivery, ...]) -> None:
    event = replace(healed_event(), id=f"healed-{lead}", data={"id": lead})
    made = Webhook(id=f"heal-{lead}", source="crm", received_at=NOON, body=b"leads[status][0][id]=7", kind=HEAL)
    record = HealRecord(
        source="crm",
        channel="account",
        event_id=f"e{lead}",
        type="lead_status_changed",
        action="leads.status",
        entity="leads",
        entity_id=str(lead),
        key=f"lead {lead}",
        at=HAPPENED,
        found_at=NOON,
        state=HealState.HEALED,
        webhook=made.id,
    )
    healed = KeepRequest(made, [RoutedEvent(event=event, payload=events.dump(event), planned=planned)])
    await store.healing.record_heal("crm", [record], healed=[healed])
