"""`relay.operations.reroute`: events that no route took and stored ones -> deliveries by the routes of today."""

from dataclasses import replace

import pytest

from relay.amocrm import events, form, sample_bodies
from relay.errors import NotFoundError
from relay.model import RoutedEvent
from relay.operations.replay import replay_ids
from relay.operations.reroute import reroute
from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import AuditEntry, Filter
from tests.cli.conftest import LOST, NOON, ROUTES, SECRETS, event_of, unread
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


# ---- stored events, for what they lack


def with_new(text: str, heal: str = "deliver") -> Config:
    """The same routes, and a target that was added later."""
    target = f'  new: {{url: "https://new.example/in", heal: {heal}}}\nroutes:\n'
    route = "  - {name: to-new, match: {entity: leads}, to: new}\n"
    return routes_file.parse(text.replace("routes:\n", target + route, 1), file="routes.yaml", env=SECRETS)


async def test_a_target_that_was_added_later_gets_what_it_missed_and_nothing_twice(store: Archive) -> None:
    wanted = Filter(since=NOON, target="new")
    before = await store.count(Filter())
    foretold = await reroute(store, wanted, with_new(ROUTES), by=BY, now=NOON, dry_run=True, missing=True)
    assert (foretold.deliveries, foretold.added) == ({"new": 2}, 0)
    assert await store.count(Filter()) == before
    done = await reroute(store, wanted, with_new(ROUTES), by=BY, now=NOON, missing=True)
    assert (done.deliveries, done.added, done.unrouted) == ({"new": 2}, 2, 0)
    again = await reroute(store, wanted, with_new(ROUTES), by=BY, now=NOON, missing=True)
    assert (again.deliveries, again.added) == ({}, 0)
    assert await store.count(Filter()) == {**before, "new": 2}
    assert {each.replays for each in await store.find(Filter(target="new"), limit=9)} == {1}, "told as a replay"
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.count) == ("replay --reroute", 2)


@pytest.mark.usefixtures("lost")
async def test_without_a_target_each_event_gets_all_that_it_lacks(store: Archive) -> None:
    done = await reroute(store, Filter(since=NOON), with_new(ROUTES), by=BY, now=NOON, missing=True)
    assert done.deliveries == {"new": 2, "warehouse": 1}
    assert done.added == 3


async def test_what_was_delivered_died_or_was_dropped_is_no_lack(store: Archive, config: Config) -> None:
    await store.drop("sales-bot", AuditEntry(id="drop", at=NOON, who=BY, command="drop"))
    done = await reroute(store, Filter(since=NOON), config, by=BY, now=NOON, missing=True)
    assert (done.deliveries, done.added) == ({}, 0)


@pytest.mark.parametrize(("heal", "added"), [("deliver", 1), ("mark", 1), ("drop", 0)])
async def test_a_healed_event_goes_where_healed_events_go(store: Archive, heal: str, added: int) -> None:
    body = form.encode(sample_bodies.body("leads.add", fields={"id": "79"}))
    [event] = events.read(form.decode(body), source="crm", received_at=NOON, new_id=lambda: event_of(LOST))
    healed = replace(
        event, heal={"event_id": "e1", "exactness": "exact", "found_at": "2026-11-22T12:05:00Z", "reason": "lost"}
    )
    await store.keep(unread(LOST, body), [RoutedEvent(event=healed, payload=events.dump(healed))])
    wanted = Filter(since=NOON, target="new", entity_id="79")
    done = await reroute(store, wanted, with_new(ROUTES, heal), by=BY, now=NOON, missing=True)
    assert (done.events, done.added) == (1, added)


@pytest.mark.parametrize("wanted", [Filter(target="neu"), Filter(route="neu")])
async def test_a_name_that_the_routes_do_not_have_is_refused(store: Archive, wanted: Filter) -> None:
    with pytest.raises(NotFoundError, match=r"no (target|route) 'neu' in the routes file"):
        await reroute(store, wanted, with_new(ROUTES), by=BY, now=NOON, missing=True)
