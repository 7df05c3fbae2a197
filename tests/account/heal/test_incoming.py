"""Incoming leads: which came and which left is found by looking at their list, as no event tells of either."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from relay.account.heal import incoming
from relay.account.heal.bodies import body
from relay.account.heal.incoming import BEFORE, IncomingLeads, listed, outcome
from relay.account.heal.keys import CAME, LEFT
from relay.errors import AccountAway, Forbidden, RequestRefused
from relay.model import Json
from relay.model.heal import HORIZON, HealRecord, HealState
from tests.account.heal.schedule import HOUR, MINUTE
from tests.account.heal.test_bodies import FACTS, read
from tests.account.heal.world import World

BEGUN_LONG_AGO = {CAME: timedelta(days=30), LEFT: timedelta(days=30)}


@pytest.fixture
def world() -> World:
    return World(seed=3)


class Looks:
    """An operator-less run of looks at a world's list, as the scanner makes them."""

    def __init__(self, world: World, *, begun: Mapping[str, timedelta] = BEGUN_LONG_AGO) -> None:
        self.world = world
        self.leads = IncomingLeads("crm", world._get)
        self._begun = {name: world.now() - ago for name, ago in begun.items()}

    async def __call__(self, *, stored: bool = True, since: timedelta = HORIZON) -> list[tuple[str, str]]:
        self.found = await self.leads.look(
            self.world.now() - since, self.world.now(), begun=self._begun, now=self.world.now()
        )
        if stored:
            self.leads.note(self.found, self.world.now())
        return sorted((each.action, str(each.state)) for each in self.found)


async def test_what_came_is_found_once_and_what_left_is_found_once(world: World) -> None:
    look, item = Looks(world), world.amo.unsorted()
    assert await look() == [(CAME, "seen")]
    assert await look() == []
    world.amo.accept(item)
    assert await look() == [(LEFT, "seen")]
    assert await look() == []


async def test_a_look_that_was_not_stored_finds_the_same_again(world: World) -> None:
    look, item = Looks(world), world.amo.unsorted()
    assert await look(stored=False) == await look() == [(CAME, "seen")]
    world.amo.decline(item)
    assert await look(stored=False) == await look() == [(LEFT, "seen")]


async def test_one_that_came_before_healing_began_is_not_lost_and_may_leave(world: World) -> None:
    item = world.amo.unsorted()
    world.advance(MINUTE)
    look = Looks(world, begun={CAME: timedelta(), LEFT: timedelta()})
    assert await look() == [(CAME, "matched")]
    assert (look.found[0].reason, look.found[0].after) == (BEFORE, None)
    world.amo.accept(item)
    assert await look() == [(LEFT, "seen")]


async def test_where_nobody_wants_to_know_who_left_nothing_of_it_is_found(world: World) -> None:
    look, item = Looks(world, begun={CAME: timedelta(days=1)}), world.amo.unsorted()
    await look()
    world.amo.accept(item)
    assert await look() == []


async def test_one_that_is_on_no_page_that_was_read_is_asked_for_by_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_PAGE", 2)
    look = Looks(world)
    first, *_ = [world.amo.unsorted() for _ in range(2)]
    await look()
    world.advance(HOUR)
    for _ in range(4):
        world.amo.unsorted()
    assert await look(since=timedelta(minutes=10)) == [(CAME, "seen")] * 4
    world.amo.accept(first)
    assert await look(since=timedelta(minutes=10)) == [(LEFT, "seen")]


async def test_one_is_asked_for_alone_where_the_filter_is_ignored(world: World) -> None:
    item = world.amo.unsorted()
    gone, asked = "f" * 60, []

    async def get(path: str, params: Mapping[str, Json]) -> Json:
        asked.append(path)
        if path.endswith(gone):
            raise RequestRefused(path, 404)
        return await world._get(path, {name: each for name, each in params.items() if "filter" not in name})

    leads = IncomingLeads("crm", get)
    assert await leads._still_listed([item.uid]) == {item.uid}
    world.amo.unsorted()
    assert await leads._still_listed([item.uid, gone]) == {item.uid}
    assert asked[-2:] == [f"{incoming.PATH}/{item.uid}", f"{incoming.PATH}/{gone}"]


async def test_the_list_is_read_as_far_back_as_it_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_PAGE", 1)
    for _ in range(3):
        world.amo.unsorted()
        world.advance(HOUR)
    items, whole = await listed(world._get, world.now() - timedelta(minutes=90))
    assert (len(items), whole) == (2, False)
    items, whole = await listed(world._get, world.now() - timedelta(hours=9))
    assert (len(items), whole) == (3, False)


async def test_a_list_in_another_order_is_read_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_PAGE", 2)
    for _ in range(4):
        world.amo.unsorted()
        world.advance(HOUR)

    async def get(path: str, params: Mapping[str, Json]) -> Json:
        return await world._get(path, {**params, "order[created_at]": "asc"})

    items, _ = await listed(get, world.now() - timedelta(minutes=90))
    assert len(items) == 4


@pytest.mark.parametrize("added_at", ["arrival", "acceptance"])
@pytest.mark.parametrize(
    ("what", "action"), [("accept", {"action": "accept"}), ("decline", None), ("link_incoming", None)]
)
async def test_what_became_of_one_is_said_if_its_lead_shows_it(added_at: str, what: str, action: Json) -> None:
    world = World(seed=3, quirks={"lead_added_at": added_at})
    item = world.amo.unsorted()
    getattr(world.amo, what)(item, *([world.amo.add_lead()] if what == "link_incoming" else []))
    world.advance(MINUTE)
    known = {"action": "decline"} if (what, added_at) == ("decline", "arrival") else {}
    assert await outcome(world._get, str(item.lead.id)) == (action or known)


@pytest.mark.parametrize("lead_id", ["", "7"])
async def test_what_became_of_another_lead_says_nothing(world: World, lead_id: str) -> None:
    """An account may ignore a filter; and an incoming lead may have no lead."""
    world.amo.move(world.amo.add_lead(), world.amo.structure.stage("Оффер"))
    world.advance(MINUTE)

    async def get(path: str, params: Mapping[str, Json]) -> Json:
        if path.startswith("/api/v4/leads/"):
            return await world._get("/api/v4/leads", {}) if path.endswith("/") else None
        return await world._get(path, {name: each for name, each in params.items() if "entity" not in name})

    assert await outcome(get, lead_id) == {}


async def test_what_is_in_the_list_for_longer_than_a_week_is_not_kept_in_mind(world: World) -> None:
    look = Looks(world)
    world.amo.unsorted()
    await look()
    world.advance(HORIZON.total_seconds() + HOUR)
    await look()
    assert look.leads._open == {}


async def test_of_what_came_nothing_is_kept_in_mind_but_that_it_did(world: World) -> None:
    """What the list shows is data of a person."""
    look = Looks(world)
    world.amo.unsorted()
    await look()
    assert [each.after for each in look.leads._open.values()] == [None]


async def test_a_fault_of_the_account_is_not_a_lead_that_is_gone(world: World) -> None:
    async def get(_path: str, _params: Json) -> Json:
        raise RequestRefused("x", 500)

    with pytest.raises(RequestRefused):
        await outcome(get, "7")
    with pytest.raises(RequestRefused):
        await IncomingLeads("crm", get)._still_listed(["a"])


async def test_a_healed_one_has_what_the_list_showed(world: World) -> None:
    look, item = Looks(world), world.amo.unsorted(category="chats")
    await look()
    [found] = look.found
    made = read(body(found, FACTS.block, None))
    assert (made.type, made.data["uid"], made.data["category"]) == ("unsorted.add", item.uid, "chats")
    assert made.data["source_data"]["last_message_text"] == "Здравствуйте"
    assert made.data["lead_id"] == item.lead.id


async def test_a_healed_acceptance_says_so_and_one_that_is_not_known_says_nothing(world: World) -> None:
    look, item = Looks(world), world.amo.unsorted()
    await look()
    world.amo.accept(item)
    await look()
    [found] = look.found
    made = read(body(found, FACTS.block, {"action": "accept"}))
    assert (made.type, made.data["action"]) == ("unsorted.delete", "accept")
    assert made.data["accept_result"] == {"leads": [item.lead.id]}
    silent = read(body(found, FACTS.block, None))
    assert (silent.data["uid"], "action" in silent.data) == (item.uid, False)


async def test_what_is_gone_is_not_doubled_with_a_webhook_that_came_long_before_the_look(world: World) -> None:
    """The account's API may be away for days while webhooks come."""
    item = world.amo.unsorted()
    await world.run(10 * MINUTE)
    world.amo.accept(item)
    world.advance(60 * HOUR)
    await world.run(3 * HOUR)
    assert world.routed() == world.oracle()
    assert _of(world, LEFT) == [HealState.MATCHED]


async def test_one_that_left_while_no_relay_ran_is_healed_after_a_restart(world: World) -> None:
    item, held = world.amo.unsorted(), world.amo.unsorted()
    await world.run(10 * MINUTE)
    world.outage(3 * HOUR, change=lambda: item.uid in world.amo.incoming and world.amo.accept(item) and None)
    world.restart()
    await world.run(3 * HOUR)
    assert _of(world, LEFT) == [HealState.HEALED]
    assert held.uid in world.amo.incoming
    assert world.routed() == world.oracle()


async def test_one_that_another_relay_saw_come_is_seen_to_leave(world: World) -> None:
    """This one led before that, and remembers its own looks."""
    world.amo.unsorted()
    await world.run(10 * MINUTE)
    this, item = world.healer, world.amo.unsorted()
    world.restart()
    await world.run(HOUR)
    world.healer = this
    await world.run(HOUR)
    world.outage(HOUR, change=lambda: item.uid in world.amo.incoming and world.amo.accept(item) and None)
    world.healer = this  # which an outage has made anew
    await world.run(3 * HOUR)
    assert _of(world, LEFT) == [HealState.HEALED]


async def test_of_one_that_came_and_left_unseen_nothing_stops(world: World) -> None:
    """Its webhooks are in no list: nothing is wrong with healing for that."""
    world.amo.add_lead()
    await world.run(3 * HOUR)
    world.amo.accept(world.amo.unsorted())
    await world.run(HOUR)
    assert {each.event.type for each in world.store.kept} >= {CAME, LEFT}
    assert not any(scan.orphans or scan.stopped for scan in world.scans)


async def test_a_list_that_cannot_be_read_leaves_its_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.amo.unsorted()
    await world.run(10 * MINUTE)
    before = world.store.marks["unsorted"]
    real = world._get

    async def get(path: str, params: Any) -> Any:
        if path.startswith(incoming.PATH):
            raise AccountAway(path)
        return await real(path, params)

    monkeypatch.setattr(world, "_get", get)
    world.restart()
    world.outage(HOUR, change=world.amo.add_lead)
    await world.run(3 * HOUR)
    assert world.store.marks["unsorted"] == before
    assert world.routed() == world.oracle(), "what the feed tells is healed meanwhile"


async def test_an_account_without_the_list_is_healed_by_its_feed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.amo.add_lead()
    await world.run(10 * MINUTE)
    real = world._get

    async def get(path: str, params: Any) -> Any:
        if path.startswith(incoming.PATH):
            raise Forbidden(path)
        return await real(path, params)

    monkeypatch.setattr(world, "_get", get)
    world.restart()
    world.outage(HOUR, change=world.amo.add_lead)
    await world.run(3 * HOUR)
    assert world.failed == []
    assert world.routed() == world.oracle()


def _of(world: World, action: str) -> list[HealState]:
    found: list[HealRecord] = [each for each in world.store.known.values() if each.action == action]
    return [each.state for each in found]
