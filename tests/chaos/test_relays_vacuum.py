"""PostgreSQL cannot clean up: somebody's transaction stays open, autovacuum is off. Deliveries go on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import Relays, campaign
from tests.chaos.scale import AT_LENGTH, at_length
from tests.postgres import Cluster

OBSTACLES = ["transaction", "autovacuum", "both"] if AT_LENGTH else ["both"]
HELD = at_length(600, briefly=8)  # seconds


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


@pytest.mark.timeout(240 + 2 * HELD)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_rows_that_cannot_be_vacuumed_lose_and_repeat_nothing(
    obstacle: str, tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def holds(made: Relays) -> None:
        with in_the_way(obstacle, server, made.database):
            await asyncio.sleep(HELD)
            await made.sent()

    seen = await campaign(tmp_path, server, holds)
    report(f"no vacuum, {obstacle}", f"{HELD} s: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert seen.repeats() == 0
