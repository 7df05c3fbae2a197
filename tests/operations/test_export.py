"""`relay.operations.export`: webhooks with all that came of them, page by page, masked for who may not see payloads."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.errors import BadCursor
from relay.operations import export as operation
from relay.operations.desk import Desk
from relay.operations.export import EXPORT, EXPORT_WEBHOOKS, Export, ExportWebhooks
from relay.store.contract import Archive
from tests.cli.conftest import CONTACT, NOON, unread


async def test_a_span_of_time_is_exported_page_by_page(desk: Desk) -> None:
    every = await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks())
    assert len(every.data) == 5 and every.next is None
    first = await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(limit=3))
    rest = await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(limit=3, after=first.next))
    ids = [each.id for each in (*first.data, *rest.data)]
    assert ids == [each.id for each in every.data] and rest.next is None
    assert (await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(until=NOON))).data == ()
    assert (
        len((await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(since=NOON, until=NOON + timedelta(seconds=1)))).data) == 5
    )


async def test_a_page_holds_few_large_bodies(store: Archive, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "MAX_BYTES", 2_000)
    for number in range(4):
        large = unread(f"019ab100-000{number}-7000-8000-000000000000", b"x" * 1_500, unparsed="large")
        await store.keep(replace(large, received_at=NOON + timedelta(days=1)), [])
    page = await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(since=NOON + timedelta(days=1)))
    assert len(page.data) == 2 and page.next


async def test_who_may_not_see_payloads_gets_them_masked(viewers_desk: Desk) -> None:
    page = await viewers_desk.ask(EXPORT_WEBHOOKS, ExportWebhooks())
    [contact] = [each for each in page.data if each.id == CONTACT]
    assert contact.webhook["body"] == "***"
    [event] = contact.events
    assert (event.event["type"], event.event["data"]["name"]) == ("contacts.add", "***")
    assert "Анна" not in str(page)


async def test_events_are_masked_too_but_not_what_they_are(viewers_desk: Desk) -> None:
    page = await viewers_desk.ask(EXPORT, Export(entity="contacts"))
    [contact] = page.data
    assert (contact.event["type"], contact.event["entity"]) == ("contacts.add", "contacts")
    assert contact.event["data"]["name"] == "***" and "Анна" not in str(page)


async def test_a_name_that_nothing_knows_is_noted(desk: Desk) -> None:
    page = await desk.ask(EXPORT, Export(entity="contact"))
    assert page.data == () and "no entity 'contact'" in page.notes[0]


async def test_a_cursor_of_another_listing_is_refused(store: Archive, desk: Desk) -> None:
    other = (await store.unparsed(limit=1)).next
    with pytest.raises(BadCursor):
        await desk.ask(EXPORT_WEBHOOKS, ExportWebhooks(after=other))
