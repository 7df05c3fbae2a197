"""What was fetched beside an event -> `enriched` in what is sent: what is stored first counts for every attempt."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.amocrm.events import dump
from relay.delivery.enriched import NOTHING, enriched
from relay.model import Delivery, Event, PlannedDelivery, RoutedEvent
from relay.model.enrich import HOLD, LATE, Enrich, Enrichment, Part
from relay.store.contract import Archive
from tests.store import kind_sqlite
from tests.store.conftest import MINUTE, NOON, claim, webhook

LEAD = Enrich({Part.LEAD: ("name",)})
VALUE = {"lead": {"id": 7, "name": "Окна", "price": 5}, "contacts": []}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Archive]:
    opened = kind_sqlite.open_store(tmp_path, NOON)
    yield opened
    await opened.close()


async def held(store: Archive, entity: str = "leads") -> Delivery:
    event = Event(
        id="event-0001", source="crm", received_at=NOON, account={}, entity=entity, action="add", data={"id": 7}
    )
    planned = PlannedDelivery(target="bot", routes=("all",), hold=HOLD)
    await store.keep(webhook(), [RoutedEvent(event=event, payload=dump(event), planned=(planned,))])
    [delivery] = await claim(store, now=NOON + HOLD)
    return delivery


async def sent(store: Archive, delivery: Delivery, enrich: Enrich = LEAD) -> dict[str, Any]:
    [made] = await enriched([delivery], enrich, store=store, now=NOON + HOLD)
    found = json.loads(made.payload)
    assert isinstance(found, dict)
    return found


async def test_a_target_gets_the_parts_and_fields_that_it_asks_for_and_the_time(store: Archive) -> None:
    delivery = await held(store)
    await store.enrichments.record([Enrichment(row=delivery.row, at=NOON, value=VALUE)], now=NOON)
    event = await sent(store, delivery)
    assert event["enriched"] == {"lead": {"id": 7, "name": "Окна"}, "at": "2026-11-22T12:00:00.000Z"}
    assert {key: event[key] for key in json.loads(delivery.payload)} == json.loads(delivery.payload)
    assert "enriched_reason" not in event


async def test_what_comes_after_the_first_attempt_changes_nothing(store: Archive) -> None:
    delivery = await held(store)
    first = await sent(store, delivery)
    assert (first["enriched"], first["enriched_reason"]) == (None, LATE)
    await store.enrichments.record([Enrichment(row=delivery.row, at=NOON, value=VALUE)], now=NOON + MINUTE)
    assert await sent(store, delivery) == first


async def test_an_event_about_no_card_says_so(store: Archive) -> None:
    assert (await sent(store, await held(store, "catalogs")))["enriched_reason"] == NOTHING


async def test_raw_and_corrupt_deliveries_stay_as_they_are(store: Archive) -> None:
    delivery = await held(store)
    others = [replace(delivery, payload=b""), replace(delivery, corrupt=True)]
    assert await enriched(others, LEAD, store=store, now=NOON) == others
    assert await store.enrichments.stored([delivery.row]) == {}


async def test_an_event_that_was_purged_goes_out_with_null(store: Archive) -> None:
    gone = replace(await held(store), row=99)
    assert (await sent(store, gone))["enriched"] is None
