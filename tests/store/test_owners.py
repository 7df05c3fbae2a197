"""Owners of one store, one after the other: what the dead one held is due at once, and its object changes nothing."""

import asyncio
import os
import threading
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from relay.errors import StoreError, StoreLocked
from relay.model import Delivered, Retention, State
from relay.store.records import Filter
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.owner import register
from relay.store.sqlite.store import SqliteStore
from relay.store.times import to_ms
from tests.store import kind_sqlite
from tests.store.conftest import MINUTE, NOON, OK, Kind, Reopen, claim, deliver, routed, to, webhook

T = TypeVar("T")


async def test_what_the_owner_before_held_is_due_at_once_when_the_next_one_opens(kind: Kind, tmp_path: Path) -> None:
    first = kind.open_store(tmp_path, NOON)
    await first.keep(webhook(), [routed(1, to(lease=60 * MINUTE)), routed(2, to())])
    await claim(first)
    second = kind.take_over(tmp_path, NOON)
    assert [(each.event_id, each.attempt) for each in await claim(second)] == [("event-0001", 2), ("event-0002", 2)]
    await second.close()
    await first.close()


async def test_the_object_of_a_dead_owner_changes_nothing_that_is_not_its_own_and_says_so(
    kind: Kind, tmp_path: Path
) -> None:
    first = kind.open_store(tmp_path, NOON)
    [stale] = await first.keep(webhook(), [routed(1, to(lease=60 * MINUTE))])
    await first.keep(webhook(2), [routed(2, to("dwh"))])
    second = kind.take_over(tmp_path, NOON)
    [present] = await claim(second)
    assert not await unless_it_raises(first.settle(stale, OK, Delivered(), now=NOON))
    assert not await unless_it_raises(first.settle(present, OK, Delivered(), now=NOON))
    assert not await unless_it_raises(first.release([stale], now=NOON))
    assert not await unless_it_raises(first.keep(webhook(3), [routed(3, to(lease=60 * MINUTE))]))
    assert not await unless_it_raises(claim(first, "dwh")), "who owns nothing claims nothing"
    assert [each.event_id for each in await claim(second, "dwh")] == ["event-0002"]
    assert await deliver(second, present)
    kept = await second.find(Filter(event_ids=("event-0003",)), limit=1)
    assert not [each for each in kept if each.claimed], "claimed for nobody"
    await second.close()
    await first.close()


async def test_a_claim_that_a_dead_owner_commits_while_another_takes_over_is_due_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The successor registers between the check of the lock and the end of the transaction, if it can."""
    first = kind_sqlite.open_store(tmp_path, NOON)
    await first.keep(webhook(), [routed(1, to())])
    successor = threading.Thread(target=register_beside, args=(tmp_path / "relay.db",))
    held = Lock.held

    def held_just_now(lock: Lock) -> bool:
        monkeypatch.setattr(Lock, "held", held)
        found = held(lock)
        (tmp_path / "relay.db.lock").unlink()
        successor.start()
        successor.join(0.3)  # it is through, or waits for the transaction
        return found

    monkeypatch.setattr(Lock, "held", held_just_now)
    assert len(await claim(first)) == 1
    await asyncio.to_thread(successor.join)
    [kept] = await first.find(Filter(), limit=1)
    assert (kept.state, kept.claimed) == (State.PENDING, False)
    await first.close()


def register_beside(database: Path) -> None:
    """Become the owner as a start does: the lock first, then what the one before had claimed is due."""
    lock, connection = Lock(database), apsw.Connection(str(database))
    connection.set_busy_timeout(10_000)
    register(connection, to_ms(NOON))
    connection.close()
    lock.release()


async def unless_it_raises(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
    except StoreError:
        return None


async def test_no_two_owners_that_live_have_the_same_part_of_a_target(kind: Kind, tmp_path: Path) -> None:
    """Where a store has one owner at a time, a second one is refused and the first has all."""
    owners = [kind.open_store(tmp_path, NOON)]
    if second := await kind.join(tmp_path, NOON):
        owners.append(second)
    parts = sorted(each.share("bot") for each in owners)
    for each in owners:
        await each.close()
    assert parts == [(number, len(owners)) for number in range(1, len(owners) + 1)]


async def test_one_of_the_owners_that_live_leads(kind: Kind, tmp_path: Path) -> None:
    owners = [kind.open_store(tmp_path, NOON)]
    if second := await kind.join(tmp_path, NOON):
        owners.append(second)
    else:
        await owners[0].probe()
    leading = [each.leads() for each in owners]
    for each in owners:
        await each.close()
    assert sum(leading) == 1


async def test_a_successor_has_the_whole_of_every_target_while_the_object_of_the_dead_owner_lives(
    kind: Kind, tmp_path: Path
) -> None:
    first = kind.open_store(tmp_path, NOON)
    second = kind.take_over(tmp_path, NOON)
    part = second.share("bot")
    await second.close()
    await first.close()
    assert part == (1, 1)


async def test_the_status_lists_the_relay_that_lives(opener: Reopen) -> None:
    store = opener(NOON)
    [first] = (await store.status()).relays
    assert first.pid > 0 and first.host and first.version and first.name
    assert first.since == NOON
    await store.close()
    store = opener(NOON + MINUTE)
    [second] = (await store.status()).relays
    assert (second.name, second.since) == (first.name, NOON + MINUTE)
    await store.close()


async def test_a_lock_file_that_somebody_removed_is_locked_anew_and_keeps_others_out(tmp_path: Path) -> None:
    store = kind_sqlite.open_store(tmp_path, NOON)
    (tmp_path / "relay.db.lock").unlink()
    await store.keep(webhook(), [routed(1, to())])
    with pytest.raises(StoreLocked):
        kind_sqlite.open_store(tmp_path, NOON)
    assert (await store.status()).owner == os.getpid()
    await store.close()


async def test_what_runs_beside_an_owner_purges_by_the_retention_of_the_moment(tmp_path: Path) -> None:
    store = SqliteStore.open(
        tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None, wall=(NOON + MINUTE).timestamp
    )
    await store.keep(webhook(), [routed(1)])
    asked: list[Retention] = []

    def retention() -> Retention:
        asked.append(Retention(unrouted=MINUTE))
        return asked[-1]

    tasks = [asyncio.create_task(each) for each in store.background(retention)]
    async with asyncio.timeout(30):
        while await store.show("webhook-0001"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert len(asked) == 1
    assert not [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await store.close()


async def test_an_owner_knows_the_size_of_its_store_and_the_room_it_has(tmp_path: Path) -> None:
    store = kind_sqlite.open_store(tmp_path, NOON)
    before = store.sizes()
    await store.keep(replace(webhook(), body=b"x" * 1_000_000), [])
    after = store.sizes()
    disk = (await store.status()).disk
    await store.close()
    assert after.used - before.used >= 1_000_000
    assert disk is not None and 0 < after.free <= disk.total


async def test_an_owner_tells_of_a_place_where_its_store_may_not_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kind_sqlite.open_store(tmp_path, NOON)
    monkeypatch.setattr("relay.store.sqlite.store.mounted", lambda: "1 0 0:1 / / rw - nfs4 server:/x rw\n")
    said = store.doubts()
    monkeypatch.setattr("relay.store.sqlite.store.mounted", lambda: "1 0 0:1 / / rw - ext4 /dev/vda rw\n")
    assert store.doubts() is None
    await store.close()
    assert said is not None and said.startswith("nfs4")
