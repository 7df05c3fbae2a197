"""A start on a large backlog: soon ready, small, quick to answer while it drains; and no question grows with it.

R12 speaks of 1,000,000 deliveries, which take minutes to write: `python -m tests.bench.backlog 1000000`. Here it is a
fifth of them, held to the same figures, or to half as good ones on a machine that is busy before it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import Delivered, Outcome, Reason
from relay.store.sqlite.owner import RECOVERY
from relay.store.sqlite.sql import rows
from relay.store.sqlite.store import SqliteStore
from tests.bench.backlog import MEBIBYTE, ROUTES, fill, measure
from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SCALE, scaled
from tests.e2e.processes import RELAY, running, until
from tests.e2e.targets import hanging, listening
from tests.store.conftest import routed, to, webhook

PENDING = scaled(200_000)
SECONDS = 20.0 if SCALE >= 1 else 4.0
FEW, MANY = 1_000, 10_000
READY, ACK, RATE = 2.0, 0.1, 500  # R12: seconds, seconds, deliveries a second
ALLOWANCE = 3  # times as bad: the machine may have other work; the line tells the figures themselves
AHEAD = 256 + 8  # deliveries that a target may have in memory: its queue, and those in flight

Questions = Mapping[str, Callable[[SqliteStore], Awaitable[object]]]


@pytest.mark.timeout(120 + 60 * max(SCALE, 1))
async def test_a_backlog_drains_while_webhooks_are_answered(tmp_path: Path, report: Report) -> None:
    await asyncio.to_thread(fill, tmp_path / "relay.db", PENDING)
    seen = await measure(tmp_path, PENDING, SECONDS)
    report("backlog", str(seen).strip())
    assert seen.memory <= 250 * MEBIBYTE
    if SCALE >= 1:  # a smaller campaign may run beside anything
        assert seen.ready <= READY * ALLOWANCE
        assert seen.ack <= ACK * ALLOWANCE
        assert seen.rate >= RATE / ALLOWANCE


async def test_what_is_ahead_of_its_attempt_is_bounded(tmp_path: Path) -> None:
    assert 8 < await ahead(tmp_path, RELAY) <= AHEAD


async def test_a_relay_that_claims_all_there_is_is_found_guilty(tmp_path: Path) -> None:
    assert await ahead(tmp_path, sabotaged("claims_all")) > AHEAD


async def ahead(folder: Path, command: Sequence[str]) -> int:
    """How many deliveries are claimed while the first eight hang."""
    await asyncio.to_thread(fill, folder / "relay.db", FEW)
    async with (
        listening(bot=hanging) as targets,
        running(folder, ROUTES.format(bot=targets.url("bot")), command=command),
    ):
        await until(lambda: len(targets.received) == 8)
        return await settled_count(folder / "relay.db")


async def settled_count(database: Path) -> int:
    """How many are claimed once more than those in flight are, and no more follow."""
    claimed: list[int] = []
    with closing(apsw.Connection(str(database))) as connection:

        def settled() -> bool:
            claimed.append(int(connection.execute("select count(*) from deliveries where claimed = 1").get))
            return claimed[-1] > 8 and len(claimed) > 10 and len({*claimed[-10:]}) == 1

        await until(settled)
    return claimed[-1]


async def test_nothing_asked_all_day_takes_longer_with_a_longer_backlog(tmp_path: Path) -> None:
    assert not await grown(tmp_path, fill)


async def test_a_store_without_an_index_for_what_is_due_is_found_guilty(tmp_path: Path) -> None:
    def fill_carelessly(path: Path, pending: int) -> None:
        fill(path, pending)
        connection = apsw.Connection(str(path))
        connection.execute("drop index deliveries_due")
        connection.close()

    assert {"due", "claim and settle"} <= (await grown(tmp_path, fill_carelessly)).keys()


async def grown(folder: Path, make: Callable[[Path, int], None]) -> dict[str, tuple[int, int]]:
    """The questions that take longer on a longer backlog, with the steps for few and for many."""
    few, many = [await steps(folder / str(pending), pending, make) for pending in (FEW, MANY)]
    assert few.keys() == many.keys()
    return {question: (few[question], many[question]) for question in few if many[question] > 2 * few[question] + 1}


async def steps(folder: Path, pending: int, make: Callable[[Path, int], None]) -> dict[str, int]:
    """By question, the hundreds of steps that SQLite took to answer it."""
    await asyncio.to_thread(make, folder / "relay.db", pending)
    now = datetime.now(UTC)
    store = SqliteStore.open(folder / "relay.db", now=now, emit=lambda _: None, failed=lambda: None)
    taken = [0]

    def count() -> bool:
        taken[0] += 1
        return False

    for connection in (store._connection, store._reader):
        connection.set_progress_handler(count, 100)
    seen = {}
    for question, ask in questions(now).items():
        taken[0] = 0
        await ask(store)
        seen[question] = taken[0]
    await store.close()
    return seen


def questions(now: datetime) -> Questions:
    """What a relay asks again and again; what is counted for a scrape is not among it."""
    taken = Outcome(reason=Reason.OK, started_at=now, took=timedelta(milliseconds=1), status=200)

    async def claim_and_settle(store: SqliteStore) -> None:
        for delivery in await store.claim("bot", limit=8, max_bytes=10**6, now=now, lease=timedelta(minutes=1)):
            await store.settle(delivery, taken, Delivered(), now=now)

    async def claim_and_release(store: SqliteStore) -> None:
        claimed = await store.claim("bot", limit=8, max_bytes=10**6, now=now, lease=timedelta(minutes=1))
        await store.release(claimed, now=now)

    return {
        "recovery": lambda store: store._writer.submit(lambda cursor: rows(cursor, RECOVERY, (0,))),
        "claim and settle": claim_and_settle,
        "claim and release": claim_and_release,
        "due": lambda store: store.due(["bot"]),
        "keep": lambda store: store.keep(webhook(1), [routed(1, to())], window=timedelta(hours=3)),
        "keep in order": lambda store: store.keep(webhook(2), [routed(2, to(key="lead-7"))]),
        "probe": lambda store: store.probe(),
    }
