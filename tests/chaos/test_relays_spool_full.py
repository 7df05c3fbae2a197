"""The disk under a relay's spool is full while PostgreSQL is away: it answers 503, and all that it took arrives."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, PER_SECOND, Relays, relays
from tests.chaos.sabotage import sabotaged
from tests.chaos.seen import Seen
from tests.chaos.tmpfs import MEBIBYTE, mounted
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY, until
from tests.postgres import Cluster

MEBIBYTES = 64
REFUSED = 20  # 503s after which the disk counts as full

pytestmark = pytest.mark.usefixtures("root")


async def full(
    folder: Path,
    server: Cluster,
    shows: Callable[[Relays], Awaitable[None]],
    *,
    command: Sequence[str] = RELAY,
    within: float = DRAINED_WITHIN,
) -> Seen:
    """What was seen where the disk under b's spool was full until that `shows`."""
    with mounted(folder / "disk", mebibytes=MEBIBYTES) as disk:
        ballast = {"b": {"RELAY_BALLAST": str(64 * MEBIBYTE)}}  # an eighth of a small disk: to forget what is forwarded
        async with relays(folder, server, started=False, variables=ballast, command=command) as made:
            relay = made.relays["b"]
            relay.spool = disk.folder / "spool.db"
            await asyncio.gather(*(each.start() for each in made.relays.values()))
            await until((disk.folder / "spool.db.ballast").exists)
            async with made.loaded({name: each.hook for name, each in made.relays.items()}):
                await made.all_deliver()
                made.proxies["b"].refuse()
                await made.sent(4 * PER_SECOND)
                disk.fill()
                await shows(made)
                made.proxies["b"].heal()
                taken = made.loads["b"].acknowledged
                await until(lambda: made.loads["b"].acknowledged >= taken + 100)
                disk.empty()
                await made.sent(4 * PER_SECOND)
            return await made.judged(within)


@pytest.mark.timeout(180)
async def test_a_full_disk_under_a_spool_loses_nothing_and_keeps_nothing_out_of_postgresql(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def refuses(made: Relays) -> None:
        await until(lambda: made.loads["b"].answers[503] >= REFUSED)

    seen = await full(tmp_path, server, refuses)
    report("a full spool", str(seen))
    seen.assert_nothing_went_wrong()
    assert all(each.via == "b" for each in seen.failed), "the other one has a disk of its own"
    assert set(seen.answers) <= {0, 200, 503}


@pytest.mark.timeout(120 * TRIALS)
async def test_a_relay_that_answers_what_it_cannot_spool_is_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def answers(made: Relays) -> None:
        await made.sent(8 * PER_SECOND)

    async def loses(folder: Path, _seed: int) -> bool:
        seen = await full(folder, server, answers, command=sabotaged("answers_what_it_cannot_spool"), within=5)
        report("a full spool", f"sabotaged, answered all the same: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
