"""PostgreSQL cannot clean up: somebody's transaction stays open, autovacuum is off. Deliveries go on."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import pytest
from psycopg.rows import dict_row

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, Relays, relays
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import AT_LENGTH, at_length
from tests.chaos.seen import Seen
from tests.e2e.processes import RELAY, until
from tests.postgres import Cluster, cluster

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
ROWS = 100
"""At least so many are claimed meanwhile, on a machine of whatever speed."""
READ_FOR_EACH = 0.1
"""How much of the table may be read for a claimed row. A claim that reads the dead rows of its target reads a third."""
COUNTED = """
select coalesce(sum(calls), 0) as number, coalesce(sum(rows), 0) as rows,
  coalesce(sum(shared_blks_hit + shared_blks_read), 0) as blocks,
  pg_total_relation_size('deliveries') / current_setting('block_size')::int as all_blocks
from pg_stat_statements s join pg_database d on d.oid = s.dbid
where d.datname = current_database() and query ~ '^\\s*with waiting as'
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A PostgreSQL that counts what each statement looks at."""
    with cluster(durable=True, shared_preload_libraries="pg_stat_statements") as made:
        yield made


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
    obstacle: str, folder: Path, server: Cluster, *, within: float = DRAINED_WITHIN, command: Sequence[str] = RELAY
) -> tuple[Seen, "Claims"]:
    """What was seen, and the claims while the obstacle was there: before the load, and all the dead rows, too."""
    async with relays(folder, server, command=command) as made:
        with ExitStack() as obstacles:
            obstacles.enter_context(in_the_way(obstacle, server, made.database))
            await asyncio.to_thread(plant, server, made.database)
            async with made.loaded({name: each.hook for name, each in made.relays.items()}):
                await made.all_deliver()
                before = await claims(made, server)
                await asyncio.sleep(HELD)
                await made.sent()
                await until(lambda: have_claimed(made, server, before.rows + ROWS), DRAINED_WITHIN)
                after = await claims(made, server)
                obstacles.close()
                await made.sent()
        return await made.judged(within), after.since(before)


def plant(server: Cluster, database: str) -> None:
    """Add the dead rows, and count what statements look at."""
    with server.admin(database) as connection, connection.transaction():
        connection.execute("create extension pg_stat_statements")
        connection.execute(PLANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims so far. `took`: how many of all relays took at most so many seconds. The rest is counted by PostgreSQL.

    They returned so many `rows` and read so many `blocks` of 8 KiB, cached or not, those with dead rows included.
    `all_blocks`: the size of the deliveries and their indexes.
    """

    took: Mapping[float, float]
    number: int
    rows: int
    blocks: int
    all_blocks: int

    def since(self, before: "Claims") -> "Claims":
        """What came to the ones `before`."""
        took = {bound: count - before.took[bound] for bound, count in self.took.items()}
        number, rows, blocks = self.number - before.number, self.rows - before.rows, self.blocks - before.blocks
        return replace(self, took=took, number=number, rows=rows, blocks=blocks)

    def read_for_each(self) -> float:
        """Return how much of the table was read for each claimed row: more than 1 if some of it repeatedly."""
        return self.blocks / self.rows / self.all_blocks

    def slowest(self, share: float = 0.99) -> float:
        """The least bound, in seconds, of what that share of them did not exceed."""
        return min(bound for bound, count in self.took.items() if count >= share * self.took[inf])

    def __str__(self) -> str:
        reached = "reached" if self.slowest() <= CLAIMED_WITHIN else "missed"
        return (
            f"{self.number} claims of {self.rows} rows, for each {self.read_for_each():.1%} of the table read,"
            f" p99 at most {self.slowest() * 1000:.0f} ms: {reached}"
        )


async def claims(made: Relays, server: Cluster) -> Claims:
    """Return those until now."""
    of_each = [await each.buckets("relay_store_claim_seconds") for each in made.relays.values()]
    took = {bound: sum(each[bound] for each in of_each) for bound in of_each[0]}
    return Claims(took=took, **await asyncio.to_thread(counted, server, made.database))


def counted(server: Cluster, database: str) -> dict[str, int]:
    """Return PostgreSQL's counts for that database; a claim is counted when it has ended."""
    with server.admin(database) as connection:
        connection.row_factory = dict_row
        return {name: int(number) for name, number in (connection.execute(COUNTED).fetchone() or {}).items()}


async def have_claimed(made: Relays, server: Cluster, rows: int) -> bool:
    return (await asyncio.to_thread(counted, server, made.database))["rows"] >= rows


@pytest.mark.timeout(240 + 2 * HELD)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_rows_that_cannot_be_vacuumed_lose_and_repeat_nothing(
    obstacle: str, tmp_path: Path, server: Cluster, report: Report
) -> None:
    """How long a claim takes is for the table, and for who reads it: other programs have a part in it."""
    seen, claimed = await not_vacuumed(obstacle, tmp_path, server)
    report(f"no vacuum, {obstacle}", f"{HELD} s, {claimed}: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert claimed.read_for_each() <= READ_FOR_EACH
    seen.assert_nothing_was_repeated()


@pytest.mark.timeout(240 + 2 * HELD)
async def test_relays_whose_claims_read_dead_rows_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    command = sabotaged("claims_past_dead_rows")
    seen, claimed = await not_vacuumed("both", tmp_path, server, within=5, command=command)
    report("no vacuum, both", f"sabotaged, claims read dead rows: {claimed}: {seen}")
    assert claimed.read_for_each() > READ_FOR_EACH
