"""What `Store.purge` promises, held against every store: over any history, and of one age at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.model import Dead, Delivered, Retention, RetryAt, RoutedEvent, State, Verdict, Webhook
from relay.signals import Committed, Purged, PurgeStopped, Signal
from relay.store import purge_loop
from relay.store.archive import ArchiveFolder
from relay.store.contract import Archive
from relay.store.purge_loop import keep_purging
from relay.store.records import Filter
from relay.store.sqlite import purge
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.store.conftest import NOON, OK, OPENERS, REFUSED, Kind, act, claim, routed, to, webhook

T = TypeVar("T")

DAY = timedelta(days=1)
AGES = [each.name for each in fields(Retention)]
KEEP = Retention(**dict.fromkeys(AGES))
VERDICTS: dict[str, Verdict] = {
    State.DELIVERED: Delivered(),
    State.DEAD: Dead("no"),
    State.PENDING: RetryAt(NOON + DAY),
}


# ---- any history


@dataclass(frozen=True)
class Past:
    """A webhook that arrived so many days ago: for each of its events the deliveries, each a state and its days."""

    arrived: int
    events: tuple[tuple[tuple[State, int], ...], ...]
    unparsed: bool = False

    def stays(self, retention: Retention) -> bool:
        """What the contract says, in other words than SQL's."""
        if self.unparsed:
            return self._stays("unparsed", self.arrived, retention)
        return any(self._event_stays(event, retention) for event in self.events)

    def _event_stays(self, deliveries: tuple[tuple[State, int], ...], retention: Retention) -> bool:
        if not deliveries:
            return self._stays("unrouted", self.arrived, retention)
        return any(state is State.PENDING or self._stays(state.value, days, retention) for state, days in deliveries)

    @staticmethod
    def _stays(age: str, days: int, retention: Retention) -> bool:
        kept = asdict(retention)[age]
        return kept is None or days * DAY < kept


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    arrived = draw(st.integers(0, 6))
    delivery = st.tuples(st.sampled_from(list(State)), st.integers(0, arrived))
    events = st.lists(st.lists(delivery, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple)
    unparsed = draw(st.booleans())
    return Past(arrived, () if unparsed else draw(events), unparsed)


retentions = st.builds(Retention, **{name: st.none() | st.integers(1, 6).map(lambda n: n * DAY) for name in AGES})


@settings(max_examples=60, deadline=None)
@given(history=st.lists(pasts(), max_size=5), retention=retentions)
def test_what_is_pending_or_young_stays_and_all_else_goes(
    kind_of_all: Kind, history: list[Past], retention: Retention
) -> None:
    async def live(folder: Path) -> tuple[set[int], dict[str, int], dict[str, int]]:
        store = kind_of_all.open_store(folder, NOON)
        for number, past in enumerate(history):
            await keep(store, number, past)
        foretold = await store.purge(retention, now=NOON, dry_run=True)
        counts = await store.purge(retention, now=NOON)
        shown = {number for number in range(len(history)) if await store.show(f"webhook-{number:04}")}
        await store.close()
        return shown, dict(foretold), dict(counts)

    with TemporaryDirectory() as folder:
        shown, foretold, counts = asyncio.run(live(Path(folder)))
    stay = {number for number, past in enumerate(history) if past.stays(retention)}
    assert shown == stay
    assert foretold == counts
    assert sum(counts.values()) == len(history) - len(stay)


async def keep(store: Archive, number: int, past: Past) -> None:
    arrived = replace(
        webhook(number, unparsed="not UTF-8" if past.unparsed else None), received_at=NOON - past.arrived * DAY
    )
    await store.keep(arrived, [event(number, place, past) for place in range(len(past.events))])
    for place, deliveries in enumerate(past.events):
        for nth, (state, days) in enumerate(deliveries):
            [delivery] = await claim(store, f"t{number}-{place}-{nth}", now=NOON)
            await store.settle(delivery, OK, VERDICTS[state], now=NOON - days * DAY)


def event(number: int, place: int, past: Past) -> RoutedEvent:
    planned = [to(f"t{number}-{place}-{nth}") for nth in range(len(past.events[place]))]
    return routed(10 * number + place, *planned, after=-past.arrived * DAY)


# ---- one age at a time


async def fill(store: Archive) -> None:
    """One webhook of each kind, from noon, and one that is pending."""
    await store.keep(webhook(1), [routed(1, to("delivered"))])
    [delivered] = await claim(store, "delivered")
    await store.settle(delivered, OK, Delivered(), now=NOON)
    await store.keep(webhook(2), [routed(2, to("dead"), to("delivered"))])
    [dead], [delivered] = await claim(store, "dead"), await claim(store, "delivered")
    await store.settle(dead, REFUSED, Dead("no"), now=NOON)
    await store.settle(delivered, OK, Delivered(), now=NOON)
    await store.keep(webhook(3), [routed(3)])
    await store.keep(webhook(4, unparsed="not UTF-8"), [])
    await store.keep(webhook(5), [routed(5, to("pending"))])


@pytest.mark.parametrize(
    ("retention", "counts"),
    [
        (replace(KEEP, delivered=DAY), {"delivered": 1}),
        (replace(KEEP, dead=DAY), {}),  # its other delivery is kept for ever
        (replace(KEEP, dead=DAY, delivered=DAY), {"delivered": 1, "dead": 1}),
        (replace(KEEP, unrouted=DAY), {"unrouted": 1}),
        (replace(KEEP, unparsed=DAY), {"unparsed": 1}),
        (KEEP, {}),
    ],
    ids=str,
)
async def test_each_age_is_for_its_own(store: Archive, retention: Retention, counts: dict[str, int]) -> None:
    await fill(store)
    assert await store.purge(retention, now=NOON + DAY - timedelta(milliseconds=1)) == {}
    assert await store.purge(retention, now=NOON + DAY) == counts


async def test_what_goes_leaves_nothing_behind(store: Archive) -> None:
    await fill(store)
    await store.purge(Retention(**dict.fromkeys(AGES, DAY)), now=NOON + DAY)
    assert await store.count(Filter()) == {"pending": 1}
    assert await store.unparsed(limit=9) == []
    assert [bool(await store.show(f"webhook-{n:04}")) for n in range(1, 6)] == [False, False, False, False, True]


async def test_what_is_replayed_counts_anew(store: Archive) -> None:
    await fill(store)
    await store.replay(Filter(states=(State.DEAD,)), act())
    assert await store.purge(Retention(**dict.fromkeys(AGES, DAY)), now=NOON + 9 * DAY, dry_run=True) == {
        "delivered": 1,
        "unrouted": 1,
        "unparsed": 1,
    }


async def test_a_purge_by_hand_is_audited_and_a_dry_run_is_not(store: Archive) -> None:
    await fill(store)
    ages = Retention(**dict.fromkeys(AGES, DAY))
    await store.purge(ages, now=NOON + DAY, act=act(command="purge"), dry_run=True)
    assert await store.audit(limit=9) == []
    await store.purge(ages, now=NOON + DAY, act=act(command="purge"))
    assert [(each.command, each.count) for each in await store.audit(limit=9)] == [("purge", 4)]


async def test_a_purge_that_is_cancelled_stops(store: Archive) -> None:
    many = 3_000
    await asyncio.gather(*(store.keep(webhook(number, unparsed="odd"), []) for number in range(many)))
    purging = asyncio.create_task(store.purge(Retention(unparsed=DAY), now=NOON + DAY))
    while (await store.status()).unparsed == many:
        await store.probe()
    purging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await purging
    await store.probe()
    left = (await store.status()).unparsed
    for _ in range(50):
        await store.probe()
    assert 0 < (await store.status()).unparsed == left


async def test_a_webhook_that_arrives_does_not_wait_for_the_end_of_a_purge(store: Archive) -> None:
    many = 3_000
    await asyncio.gather(*(store.keep(webhook(number, unparsed="odd"), []) for number in range(many)))
    purging = asyncio.create_task(store.purge(Retention(unparsed=DAY), now=NOON + DAY))
    while (await store.status()).unparsed == many:
        await store.probe()
    await store.keep(replace(webhook(many), received_at=NOON + DAY), [routed(1)])
    assert not purging.done()
    assert (await store.status()).unparsed > many // 4
    assert await purging == {"unparsed": many}
    assert await store.show(f"webhook-{many:04}")


# ---- what only SQLite promises


async def test_a_large_purge_is_many_short_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "PAGE", 4)
    monkeypatch.setattr(purge, "LOCKED", 0.0)
    monkeypatch.setattr(purge, "PAUSE", 0.0)
    signals: list[Signal] = []
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=signals.append, failed=lambda: None)
    for number in range(10):
        await store.keep(webhook(number), [routed(number)])
    signals.clear()
    assert await store.purge(Retention(unrouted=timedelta()), now=NOON) == {"unrouted": 10}
    await store.close()
    assert [each.writes for each in signals if isinstance(each, Committed)] == [1] * 10


async def test_a_purge_pauses_after_each_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "LOCKED", 0.0)
    store = OPENERS["sqlite"](tmp_path, NOON)
    for number in range(5):
        await store.keep(webhook(number), [routed(number)])
    start = asyncio.get_running_loop().time()
    assert await store.purge(Retention(unrouted=timedelta()), now=NOON) == {"unrouted": 5}
    took = asyncio.get_running_loop().time() - start
    await store.close()
    assert took > 4 * purge.PAUSE


async def test_no_read_of_a_purge_is_longer_for_a_longer_history_none_of_which_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "PAGE", 20)
    monkeypatch.setattr(purge, "PAUSE", 0.0)
    short, long = [await longest_read(tmp_path / f"{pending}.db", pending) for pending in (40, 400)]
    assert 0 < long <= short + 1


def arrived(number: int) -> Webhook:
    """So many milliseconds after a day ago."""
    return replace(webhook(number), received_at=NOON - DAY + timedelta(milliseconds=number))


async def longest_read(path: Path, pending: int) -> int:
    """In hundreds of SQLite's steps, of a purge that finds one webhook behind so many that are pending."""
    store = SqliteStore.open(path, now=NOON, emit=lambda _: None, failed=lambda: None)
    for number in range(pending):
        store.keep(arrived(number), [routed(number, to())])
    await store.keep(arrived(pending), [routed(pending)])
    taken = [0]

    def count() -> bool:
        taken[-1] += 1
        return False

    async def read(run: Callable[[apsw.Cursor], T]) -> T:
        taken.append(0)
        return await store._read(run)

    store._reader.set_progress_handler(count, 100)
    ages = Retention(**dict.fromkeys(AGES, DAY))
    gone = await purge.purge(read, store._writer.submit, ages, NOON + DAY, None, dry_run=False)
    await store.close()
    assert gone == {"unrouted": 1}
    return max(taken)


async def test_a_daemon_purges_once_the_archive_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_loop, "EVERY", 0.001)
    machine, signals = Machine(), list[Signal]()
    store = OPENERS["sqlite"](tmp_path, NOON)
    await store.keep(webhook(unparsed="not UTF-8"), [])
    (tmp_path / "archive").touch()
    forever = asyncio.create_task(
        keep_purging(
            store,
            retention=lambda: replace(KEEP, unparsed=-DAY),
            archive=lambda: ArchiveFolder(tmp_path / "archive"),
            wall=machine.look,
            steady=lambda: machine.steady,
            emit=signals.append,
        )
    )
    await until(lambda: len(signals) > 1)
    assert all(isinstance(each, PurgeStopped) and "so nothing is purged" in each.error for each in signals)
    assert len(await store.unparsed(limit=10)) == 1
    (tmp_path / "archive").unlink()
    await until(lambda: isinstance(signals[-1], Purged))
    assert len(list((tmp_path / "archive").iterdir())) == 1
    forever.cancel()
    await store.close()


async def test_the_space_of_what_is_gone_is_used_again(tmp_path: Path) -> None:
    store = OPENERS["sqlite"](tmp_path, NOON)
    sizes = []
    for generation in range(4):
        numbers = range(generation * 40, generation * 40 + 40)
        for number in numbers:
            await store.keep(replace(webhook(number, unparsed="?"), body=b"x" * 50_000), [])
        await store.purge(Retention(unparsed=timedelta()), now=NOON)
        await store.probe()
        sizes.append((tmp_path / "relay.db").stat().st_size + (tmp_path / "relay.db-wal").stat().st_size)
    await store.close()
    assert (tmp_path / "relay.db").stat().st_size < 2 * 40 * 50_000, sizes


async def test_no_row_is_left_without_the_one_it_belongs_to(tmp_path: Path) -> None:
    store = OPENERS["sqlite"](tmp_path, NOON)
    await fill(store)
    await store.purge(Retention(**dict.fromkeys(AGES, DAY)), now=NOON + DAY)
    await store.close()
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    strays = connection.execute("pragma foreign_key_check").fetchall()
    left = {name: connection.execute(f"select count(*) from {name}").get for name in ("webhooks", "events", "attempts")}
    connection.close()
    assert (strays, left) == ([], {"webhooks": 1, "events": 1, "attempts": 0})


# ---- a clock that is set


class Machine:
    """Its two clocks; each look at the wall clock is counted."""

    def __init__(self) -> None:
        self.wall, self.steady, self.looks = NOON, 1000.0, 0

    def look(self) -> float:
        self.looks += 1
        return self.wall.timestamp()

    async def until_looked(self, times: int) -> None:
        enough = self.looks + times
        await until(lambda: self.looks >= enough)


async def test_nothing_is_purged_for_an_hour_after_the_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_loop, "EVERY", 0.001)
    machine, signals = Machine(), list[Signal]()
    store = OPENERS["sqlite"](tmp_path, NOON)
    await store.keep(webhook(unparsed="not UTF-8"), [])
    forever = asyncio.create_task(
        keep_purging(
            store,
            retention=lambda: replace(KEEP, unparsed=DAY),
            wall=machine.look,
            steady=lambda: machine.steady,
            emit=signals.append,
        )
    )
    await machine.until_looked(5)
    machine.wall += 90 * DAY
    await machine.until_looked(5)
    machine.wall, machine.steady = machine.wall + timedelta(minutes=59), machine.steady + 59 * 60
    await machine.until_looked(5)
    assert len(await store.unparsed(limit=10)) == 1
    machine.wall, machine.steady = machine.wall + timedelta(minutes=1), machine.steady + 60
    await until(lambda: bool(signals))
    assert await store.unparsed(limit=10) == []
    forever.cancel()
    await store.close()
