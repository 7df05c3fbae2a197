"""`relay.operations.reroute`: events that no route took -> deliveries by the routes of today."""

from dataclasses import replace

import pytest

from relay.amocrm import events, form, sample_bodies
from relay.model import RoutedEvent
from relay.operations.replay import replay_ids
from relay.operations.reroute import reroute
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.cli.conftest import LOST, NOON, event_of, unread
from tests.operations.conftest import BY, last


@pytest.fixture
async def lost(store: Archive) -> None:
    """An event that no route took."""
    body = form.encode(sample_bodies.body("contacts.add", fields={"id": "78"}))
    [event] = events.read(form.decode(body), source="crm", received_at=NOON, new_id=lambda: event_of(LOST))
    await store.keep(unread(LOST, body), [RoutedEvent(event=event, payload=events.dump(event))])


@pytest.mark.usefixtures("lost")
async def test_an_event_that_no_route_took_gets_its_deliveries(store: Archive, config: Config) -> None:
    done = await reroute(store, Filter(entity="contacts"), config, by=BY, now=NOON)
    assert (done.deliveries, done.added, done.events, done.unrouted) == ({"warehouse": 1}, 1, 1, 0)
    [delivery] = await store.find(Filter(event_ids=(event_of(LOST),)), limit=9)
    assert (delivery.target, delivery.due_at) == ("warehouse", NOON)
    entry = await last(store)
    assert (entry.command, entry.who, entry.count) == ("replay --unrouted", BY, 1)
    assert entry.details == {"entity": "contacts"}


@pytest.mark.usefixtures("lost")
async def test_repeated_it_adds_nothing(store: Archive, config: Config) -> None:
    await reroute(store, Filter(), config, by=BY, now=NOON)
    assert (await reroute(store, Filter(), config, by=BY, now=NOON)).events == 0
    assert len(await store.audit(limit=9)) == 1


@pytest.mark.usefixtures("lost")
async def test_a_dry_run_adds_nothing(store: Archive, config: Config) -> None:
    done = await reroute(store, Filter(), config, by=BY, now=NOON, dry_run=True)
    assert (done.deliveries, done.added) == ({"warehouse": 1}, 0)
    assert await store.find(Filter(event_ids=(event_of(LOST),)), limit=9) == []
    assert await store.audit(limit=9) == []


@pytest.mark.usefixtures("lost")
async def test_what_no_route_takes_today_is_counted(store: Archive, config: Config) -> None:
    nothing = replace(config, matcher=type(config.matcher)(()))
    done = await reroute(store, Filter(), nothing, by=BY, now=NOON)
    assert (done.events, done.unrouted, done.added) == (1, 1, 0)


@pytest.mark.usefixtures("lost")
async def test_by_its_id_a_replay_reroutes_it(store: Archive, config: Config) -> None:
    done = await replay_ids(store, [LOST], Filter(), lambda: config, by=BY, now=NOON)
    assert (done.targets, done.done, done.found) == ({"warehouse": 1}, 1, {})
    assert (await last(store)).details == {"event_ids": [event_of(LOST)]}
