"""The disk under a relay's spool is full while PostgreSQL is away: it answers 503, and all that it took arrives."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import PER_SECOND, relays
from tests.chaos.tmpfs import MEBIBYTE, mounted
from tests.e2e.processes import until
from tests.postgres import Cluster

MEBIBYTES = 64
REFUSED = 20  # 503s after which the disk counts as full

pytestmark = pytest.mark.usefixtures("root")


@pytest.mark.timeout(180)
async def test_a_full_disk_under_a_spool_loses_nothing_and_keeps_nothing_out_of_postgresql(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    with mounted(tmp_path / "disk", mebibytes=MEBIBYTES) as disk:
        ballast = {"b": {"RELAY_BALLAST": str(64 * MEBIBYTE)}}  # an eighth of a small disk: to forget what is forwarded
        async with relays(tmp_path, server, started=False, variables=ballast) as made:
            relay = made.relays["b"]
            relay.spool = disk.folder / "spool.db"
            await asyncio.gather(*(each.start() for each in made.relays.values()))
            await until((disk.folder / "spool.db.ballast").exists)
            async with made.loaded({name: each.hook for name, each in made.relays.items()}):
                await made.all_deliver()
                made.proxies["b"].refuse()
                await made.sent(4 * PER_SECOND)
                disk.fill()
                await until(lambda: made.loads["b"].answers[503] >= REFUSED)
                made.proxies["b"].heal()
                taken = made.loads["b"].acknowledged
                await until(lambda: made.loads["b"].acknowledged >= taken + 100)
                disk.empty()
                await made.sent(4 * PER_SECOND)
            seen = await made.judged()
    report("a full spool", str(seen))
    seen.assert_nothing_went_wrong()
    assert all(each.via == "b" for each in seen.failed), "the other one has a disk of its own"
    assert set(seen.answers) <= {0, 200, 503}
