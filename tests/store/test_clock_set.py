"""A store that goes by the machine's clock, when that is set: nothing waits longer, and no lease ends sooner."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import RetryAt, State
from relay.signals import ClockSet, Signal
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, REFUSED, claim, deliver, open_sqlite, routed, to, webhook

HOUR = 60 * MINUTE


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = open_sqlite(tmp_path, NOON)
    yield opened
    await opened.close()


async def test_a_clock_set_back_delays_nothing_that_waits(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to())])
    [delivery] = await claim(store)
    await store.settle(delivery, REFUSED, RetryAt(NOON + 2 * MINUTE), now=NOON)
    await store.clock_set(-HOUR, NOON - HOUR)
    assert (await store.due(["bot"])).at == {"bot": NOON - HOUR + 2 * MINUTE}
    assert await claim(store, now=NOON - HOUR + MINUTE) == []
    assert len(await claim(store, now=NOON - HOUR + 2 * MINUTE)) == 1


async def test_a_clock_set_back_delays_nothing_that_waits_for_an_older_one(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to(key="leads/7")), routed(2, to(key="leads/7"))])
    [first] = await claim(store)
    await store.clock_set(-HOUR, NOON - HOUR)
    await deliver(store, first, now=NOON - HOUR)
    assert [d.event_id for d in await claim(store, now=NOON - HOUR)] == ["event-0002"]


async def test_a_clock_set_back_ends_no_lease(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to()), routed(2, to(lease=MINUTE))])
    await claim(store)
    await store.clock_set(-HOUR, NOON - HOUR)
    assert await claim(store, now=NOON - HOUR + 2 * MINUTE) == []


async def test_a_clock_set_forward_ends_no_lease_and_has_due_what_waits(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to()), routed(2, to(lease=MINUTE))])
    [first] = await claim(store)
    await store.settle(first, REFUSED, RetryAt(NOON + 2 * MINUTE), now=NOON)
    await store.clock_set(24 * HOUR, NOON + 24 * HOUR)
    assert [d.event_id for d in await claim(store, now=NOON + 24 * HOUR)] == ["event-0001"], "the other one is ours"
    assert [d.event_id for d in await claim(store, now=NOON + 24 * HOUR + MINUTE)] == ["event-0001", "event-0002"]


async def test_what_is_due_already_or_over_does_not_mind_a_clock_that_is_set(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to()), routed(2, to())])
    [first, _] = await claim(store, limit=2)
    await deliver(store, first)
    await store.clock_set(-HOUR, NOON - HOUR)
    await store.clock_set(HOUR, NOON)
    assert (await store.show("event-0001")).events[0].deliveries[0].state is State.DELIVERED  # type: ignore[union-attr]


@contextmanager
def held(database: Path) -> Iterator[None]:
    """By another program, that is about to write."""
    connection = apsw.Connection(str(database))
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.execute("rollback")
        connection.close()


class Machine:
    """Its two clocks, a store that goes by them, and what that has said."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.steady = NOON, 1000.0
        self.told: list[timedelta] = []
        self.noticed: list[Signal] = []
        self.store = SqliteStore.open(
            folder / "relay.db",
            now=NOON,
            emit=self.noticed.append,
            failed=lambda: None,
            wall=lambda: self.wall.timestamp(),
            steady=lambda: self.steady,
            clock_set=self.told.append,
        )


async def test_a_clock_that_was_set_moves_what_waits_before_its_time_is_returned(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    store = machine.store
    await store.keep(webhook(), [routed(1, to())], now=store.clock() + MINUTE)
    machine.wall -= HOUR
    now = store.clock()
    assert now == NOON - HOUR
    assert [each.event_id for each in await claim(store, now=now + MINUTE)] == ["event-0001"]
    assert machine.told == [-HOUR]
    assert [each for each in machine.noticed if isinstance(each, ClockSet)] == [ClockSet(by=timedelta(hours=-1))]
    await store.close()


async def test_a_move_that_the_store_was_too_busy_for_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.sqlite.store.CLOCK_AGAIN", 0.01)
    machine = Machine(tmp_path)
    store = machine.store
    await store.keep(webhook(), [routed(1, to())], now=NOON + MINUTE)
    with held(tmp_path / "relay.db"):
        machine.wall -= HOUR
        now = store.clock()
        await asyncio.sleep(1.2)
        assert (await store.due(["bot"])).at == {"bot": NOON + MINUTE}
    async with asyncio.timeout(30):
        while (await store.due(["bot"])).at != {"bot": now + MINUTE}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await store.close()


async def test_a_store_that_was_written_in_the_future_was_so_before_the_clock_was_set_back(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(), [routed(1, to())], now=NOON + MINUTE)
    await store.close()
    store = SqliteStore.open(
        tmp_path / "relay.db", now=NOON - HOUR, emit=lambda _: None, failed=lambda: None, written_at=NOON
    )
    assert (await store.due(["bot"])).at == {"bot": NOON - HOUR + MINUTE}
    await store.close()
