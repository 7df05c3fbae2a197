"""Windows of the feed, read from the double: pages that move, types that it refuses, more pages than there may be."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.account.heal import reader
from relay.account.heal.lanes import Lane
from relay.account.heal.reader import FeedReader, Params
from relay.errors import RequestRefused
from tests.account.heal.world import World

CORE = Lane("core", {}, ("lead_added", "lead_status_changed"))


@pytest.fixture
def world() -> World:
    """An account whose lead moved 250 times, every second."""
    world = World(seed=1)
    lead = world.amo.add_lead()
    stages = [world.amo.structure.stage(name) for name in ("Переговоры", "Оффер")]
    for at in range(250):
        world.clock.advance(1)
        world.amo.move(lead, stages[at % 2])
    world.clock.advance(60)
    return world


def span(world: World) -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(world.clock(), UTC)
    return now - timedelta(hours=1), now


def asking(world: World, asked: list[dict[str, Any]]) -> Callable[[str, Params], Awaitable[Any]]:
    async def get(path: str, params: Params) -> Any:
        asked.append(dict(params))
        return await world._get(path, params)

    return get


async def test_a_window_is_read_to_its_last_page_oldest_first(world: World) -> None:
    asked: list[dict[str, Any]] = []
    events = await FeedReader(asking(world, asked)).read(CORE, *span(world))
    assert len(events) == 251
    assert [each.at for each in events] == sorted(each.at for each in events)
    assert [each["page"] for each in asked] == [1, 2, 3]


async def test_a_window_of_too_many_pages_is_read_by_halves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_PAGES", 1)
    asked: list[dict[str, Any]] = []
    events = await FeedReader(asking(world, asked)).read(CORE, *span(world))
    assert len({each.id for each in events}) == len(events) == 251
    assert len({each["filter[created_at][from]"] for each in asked}) > 3


async def test_a_second_with_too_many_pages_is_read_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_PAGES", 1)
    since, until = span(world)
    for _ in range(150):
        world.amo.add_lead()
    world.clock.advance(60)
    assert len(await FeedReader(world._get).read(CORE, since, until + timedelta(minutes=1))) == 401


async def test_pages_that_moved_are_read_once_more(world: World) -> None:
    """An event that enters while they are read pushes others to the next page: one comes twice."""
    asked: list[dict[str, Any]] = []
    inner = asking(world, asked)

    async def get(path: str, params: Params) -> Any:
        found = await inner(path, params)
        if len(asked) == 1:
            world.amo.add_lead()
            world.clock.advance(30)
        return found

    since, until = span(world)
    events = await FeedReader(get).read(CORE, since, until + timedelta(hours=1))
    assert len(events) == 252
    assert [each["page"] for each in asked] == [1, 2, 3, 1, 2, 3]


async def test_a_page_that_was_announced_and_is_not_there_has_the_window_read_again(world: World) -> None:
    asked: list[dict[str, Any]] = []
    inner = asking(world, asked)

    async def get(path: str, params: Params) -> Any:
        found = await inner(path, params)
        return None if len(asked) == 2 else found

    assert len(await FeedReader(get).read(CORE, *span(world))) == 251
    assert [each["page"] for each in asked] == [1, 2, 1, 2, 3]


async def test_a_type_that_the_account_does_not_know_is_found_by_halves_and_not_asked_for_again(world: World) -> None:
    lane = Lane("core", {}, ("lead_added", "lead_of_tomorrow", "lead_status_changed", "task_added"))
    asked: list[dict[str, Any]] = []
    feed = FeedReader(asking(world, asked))
    assert len(await feed.read(lane, *span(world))) == 251
    first = len(asked)
    assert len(await feed.read(lane, *span(world))) == 251
    known = ["lead_added", "lead_status_changed", "task_added"]
    assert [each["filter[type][]"] for each in asked[first:]] == [known] * 3


async def test_what_is_refused_for_another_reason_is_an_error() -> None:
    async def get(_path: str, _params: Params) -> Any:
        raise RequestRefused("GET: answered 404", 404)

    now = datetime(2026, 3, 4, tzinfo=UTC)
    with pytest.raises(RequestRefused):
        await FeedReader(get).read(CORE, now, now)


async def test_more_types_than_one_request_takes_are_asked_for_in_turns(world: World) -> None:
    lane = Lane("core", {}, (*CORE.types, *(f"lead_of_day_{n}" for n in range(30))))
    asked: list[dict[str, Any]] = []
    assert len(await FeedReader(asking(world, asked)).read(lane, *span(world))) == 251
    assert max(len(each["filter[type][]"]) for each in asked) == reader.MAX_TYPES


async def test_without_types_only_updates_are_taken(world: World) -> None:
    lead = next(iter(world.amo.cards["leads"].values()))
    world.amo.update(lead, price=7)
    world.clock.advance(60)
    events = await FeedReader(world._get).read(Lane("full"), *span(world))
    assert [each.type for each in events] == ["sale_field_changed"]
