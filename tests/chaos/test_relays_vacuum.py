"""PostgreSQL cannot clean up: somebody's transaction stays open, autovacuum is off. Deliveries go on."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, Relays, Seen, campaign
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import AT_LENGTH, at_length
from tests.e2e.processes import RELAY
from tests.postgres import Cluster

OBSTACLES = ["transaction", "autovacuum", "both"] if AT_LENGTH else ["both"]
HELD = at_length(600, briefly=8)  # seconds
CLAIMED_WITHIN = 0.2  # seconds, 99 of 100 claims; a bound of the run at length
DEAD_ROWS = 100_000
"""Deliveries that were claimed and are settled, so that a brief run has as many dead rows as one at length."""
PLANT = f"""
insert into deliveries (event, target, routes, state, claim, attempt, base, replays, pending_since, due_at)
select -n, target, '["all"]', 'pending', 1, 1, 0, 0, 0, 9e15 from unnest(array['plain', 'ordered']) target,
  generate_series(1, {DEAD_ROWS}) n;
delete from deliveries where event < 0;
"""


@contextmanager
def in_the_way(obstacle: str, server: Cluster, database: str) -> Iterator[None]:
    """A foreign snapshot as old as the block, or no autovacuum, or both."""
    with server.admin(database) as foreign:
        if obstacle != "autovacuum":
            foreign.execute("begin isolation level repeatable read")
            foreign.execute("select count(*) from deliveries")
        if obstacle != "transaction":
            server.configure(autovacuum="off")
        try:
            yield
        finally:
            server.configure(autovacuum="on")


async def not_vacuumed(
    obstacle: str,
    folder: Path,
    server: Cluster,
    *,
    planted: bool = False,
    within: float = DRAINED_WITHIN,
    command: Sequence[str] = RELAY,
) -> tuple[Seen, float]:
    """What was seen, and the seconds that 99 of 100 claims took at most while the obstacle was there."""
    slowest = 0.0

    async def holds(made: Relays) -> None:
        nonlocal slowest
        with in_the_way(obstacle, server, made.database):
            if planted:
                await asyncio.to_thread(plant, server, made.database)
            before = await claims(made)
            await asyncio.sleep(HELD)
            await made.sent()
            slowest = quantile(before, await claims(made), 0.99)

    return await campaign(folder, server, holds, within=within, command=command), slowest


def plant(server: Cluster, database: str) -> None:
    """Add the dead rows."""
    with server.admin(database) as connection, connection.transaction():
        connection.execute(PLANT)


async def claims(made: Relays) -> dict[float, float]:
    """How many claims of all relays have taken at most so many seconds."""
    of_each = [await each.buckets("relay_store_claim_seconds") for each in made.relays.values()]
    return {bound: sum(each[bound] for each in of_each) for bound in of_each[0]}


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """The least bound of what that share of the observations since `before` did not exceed."""
    since = {bound: count - before[bound] for bound, count in after.items()}
    return min(bound for bound, count in since.items() if count >= share * since[float("inf")])


def judged(slowest: float) -> str:
    return f"claim p99 at most {slowest * 1000:.0f} ms: {'reached' if slowest <= CLAIMED_WITHIN else 'missed'}"


@pytest.mark.timeout(240 + 2 * HELD)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_rows_that_cannot_be_vacuumed_lose_and_repeat_nothing(
    obstacle: str, tmp_path: Path, server: Cluster, report: Report
) -> None:
    """How long a claim takes is for the table, and for who reads it: other programs have a part in it."""
    seen, slowest = await not_vacuumed(obstacle, tmp_path, server)
    report(f"no vacuum, {obstacle}", f"{HELD} s, {judged(slowest)}: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert seen.repeats() == 0


@pytest.mark.timeout(180)
async def test_relays_whose_claims_read_dead_rows_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    command = sabotaged("claims_past_dead_rows")
    seen, slowest = await not_vacuumed("both", tmp_path, server, planted=True, command=command)
    report("no vacuum, both", f"sabotaged, claims read dead rows: {judged(slowest)}: {seen}")
    assert slowest > CLAIMED_WITHIN
