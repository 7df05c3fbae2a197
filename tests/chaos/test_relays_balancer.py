"""HAProxy before two relays on one PostgreSQL: whatever happens to one of them, the sender is answered 200."""

import asyncio
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import PER_SECOND, Relays, relays
from tests.chaos.scale import SEED, scaled
from tests.e2e.balancers import haproxy
from tests.e2e.processes import TOKEN
from tests.postgres import Cluster

ROUNDS = scaled(4, least=1)
CHECKED = 1.5  # seconds in which HAProxy knows that a relay is ready, or is not


@pytest.mark.timeout(180 + 60 * ROUNDS)
async def test_kill_freeze_restart_and_a_crash_of_postgresql_fail_no_webhook(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    chance = Random(SEED)
    async with relays(tmp_path, server) as made, haproxy(tmp_path, [*made.relays.values()]) as port:
        await asyncio.sleep(CHECKED)
        async with made.loaded({"m": f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"}, 2 * PER_SECOND):
            await made.all_deliver()
            for _ in range(ROUNDS):
                for name in "ab":
                    await trouble(made, name, server, chance)
        seen = await made.judged()
    report("behind HAProxy", f"{ROUNDS} rounds: {seen}")
    assert not seen.findings.lost
    assert seen.at_once == 0
    assert seen.overtaken == 0
    seen.assert_all_answered_200()


async def trouble(made: Relays, name: str, server: Cluster, chance: Random) -> None:
    """One relay is killed, stands still and is restarted; PostgreSQL crashes. Never two at once."""
    relay = made.relays[name]
    await relay.kill()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    await relay.start()
    await settled(made)
    relay.signal(SIGSTOP)
    try:
        await asyncio.sleep(8.0)
    finally:
        relay.signal(SIGCONT)
    await settled(made)
    relay.signal(SIGTERM)
    assert await relay.ended() == 0
    await relay.start()
    await settled(made)
    await asyncio.to_thread(server.restart, "immediate")
    await settled(made)


async def settled(made: Relays) -> None:
    """HAProxy has seen it."""
    await asyncio.sleep(CHECKED)
    await made.sent()
