"""HAProxy before two relays on one PostgreSQL: whatever happens to one of them, the sender is answered 200."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, PER_SECOND, Relays, relays
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import AT_LENGTH, SEED, at_length
from tests.chaos.seen import Seen
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.balancers import haproxy
from tests.e2e.processes import RELAY, TOKEN, until
from tests.postgres import Cluster

TROUBLED = "abab" if AT_LENGTH else "a"  # the first one takes all webhooks while it can
KILLS = at_length(20, briefly=2)
AWAY = at_length(600, briefly=0)  # seconds of PostgreSQL, at least
FROZEN = 4.0  # seconds: longer than HAProxy waits
REFUSED = 50  # 503s of HAProxy, whose relays are not ready
CHECKED = 1.5  # seconds in which HAProxy knows that a relay is ready, or is not


async def balanced(
    folder: Path, server: Cluster, fault: Callable[[Relays], Awaitable[None]], *, command: Sequence[str] = RELAY
) -> Seen:
    """As `campaign`, with one load by HAProxy, as many webhooks as two relays have elsewhere."""
    async with relays(folder, server, command=command) as made, haproxy(folder, [*made.relays.values()]) as port:
        await asyncio.sleep(CHECKED)
        async with made.loaded({"m": f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"}, 2 * PER_SECOND):
            await fault(made)
            await settled(made)
        return await made.judged(DRAINED_WITHIN + AWAY)


def assert_nothing_went_wrong(seen: Seen) -> None:
    """Not that nothing was sent to a second relay, which makes another webhook of it: another id, the same event."""
    assert not seen.findings.lost
    assert not seen.findings.unexpected
    assert seen.at_once == 0
    seen.assert_all_answered_200()


@pytest.mark.timeout(180 + 60 * len(TROUBLED))
async def test_kill_freeze_restart_and_a_crash_of_postgresql_fail_no_webhook(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    chance = Random(SEED)

    async def troubles(made: Relays) -> None:
        await made.sent(4 * PER_SECOND)  # the balancer gives all to one, which may deliver all
        for name in TROUBLED:
            await trouble(made, name, server, chance)

    seen = await balanced(tmp_path, server, troubles)
    report("behind HAProxy", f"{len(TROUBLED)} rounds: {seen}")
    assert_nothing_went_wrong(seen)


@pytest.mark.timeout(180 + 10 * KILLS + 4 * AWAY)
async def test_relays_that_are_killed_in_turn_while_postgresql_is_away_fail_no_webhook(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def kills(made: Relays) -> None:
        await made.sent(4 * PER_SECOND)
        for proxy in made.proxies.values():
            proxy.refuse()
        for number in range(KILLS):
            await made.sent()
            await asyncio.sleep(AWAY / KILLS)
            relay = made.relays["ab"[number % 2]]
            await relay.kill()
            await made.sent(PER_SECOND)
            await relay.start()
            await settled(made)
        for proxy in made.proxies.values():
            proxy.heal()

    seen = await balanced(tmp_path, server, kills)
    report("behind HAProxy", f"{KILLS} kills while PostgreSQL is away: {seen}")
    assert_nothing_went_wrong(seen)


@pytest.mark.timeout(120 * TRIALS)
async def test_relays_that_are_not_ready_while_they_spool_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def away(made: Relays) -> None:
        await made.sent()
        for proxy in made.proxies.values():
            proxy.refuse()
        await until(lambda: made.loads["m"].answers[503] >= REFUSED, 60)
        for proxy in made.proxies.values():
            proxy.heal()

    async def refuses(folder: Path, _seed: int) -> bool:
        seen = await balanced(folder, server, away, command=sabotaged("unready_without_postgresql"))
        report("behind HAProxy", f"sabotaged, not ready while PostgreSQL is away: {seen}")
        return bool(seen.failed)

    assert await found_guilty(tmp_path, refuses)


async def trouble(made: Relays, name: str, server: Cluster, chance: Random) -> None:
    """One relay is killed, stands still and is restarted; PostgreSQL crashes. Never two at once."""
    relay = made.relays[name]
    made.stopped.add(name)
    await relay.kill()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    await relay.start()
    await settled(made)
    relay.signal(SIGSTOP)
    try:
        await asyncio.sleep(FROZEN)
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
