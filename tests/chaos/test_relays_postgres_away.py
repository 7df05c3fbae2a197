"""PostgreSQL crashes, stands still, is not there yet, or its answers get lost: senders are answered 200 all along."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, PER_SECOND, Relays, campaign, relays
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SEED, at_length
from tests.chaos.seen import Seen
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY, until
from tests.postgres import Cluster

CRASHES = at_length(20, briefly=1)
FROZEN = 8.0  # seconds: longer than a transaction may take
AWAY = at_length(600, briefly=0)  # seconds beside those that the rest takes
LOST_ANSWERS = at_length(100, briefly=6)


@pytest.mark.timeout(240 + 15 * CRASHES)
async def test_a_postgresql_that_crashes_and_stands_still_is_no_matter_of_the_sender(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    chance = Random(SEED)

    async def crashes(made: Relays) -> None:
        for _ in range(CRASHES):
            await asyncio.to_thread(server.stop, "immediate")
            try:
                await asyncio.sleep(chance.uniform(2.0, 6.0))
            finally:
                await asyncio.to_thread(server.start)
            await made.sent(4 * PER_SECOND)
        await asyncio.to_thread(server.freeze)
        try:
            await asyncio.sleep(FROZEN)
        finally:
            await asyncio.to_thread(server.thaw)

    seen = await campaign(tmp_path, server, crashes)
    report("PostgreSQL crashes", f"{CRASHES} crashes, then frozen for {FROZEN:.0f} s: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()


async def lose_answers(made: Relays, answers: int, seed: int = SEED) -> None:
    """Of commits, by turns of webhooks and of what deliveries do."""
    chance = Random(seed)
    for number in range(answers):
        proxy = made.proxies[chance.choice("ab")]
        lost = proxy.lost
        proxy.lose_commit((b" intake", b" work")[number % 2])
        await until(lambda proxy=proxy, lost=lost: proxy.lost > lost)
        await made.sent(PER_SECOND)


@pytest.mark.timeout(180 + 10 * LOST_ANSWERS)
async def test_a_lost_answer_loses_nothing(tmp_path: Path, server: Cluster, report: Report) -> None:
    seen = await campaign(tmp_path, server, lambda made: lose_answers(made, LOST_ANSWERS))
    report("lost answers", f"{LOST_ANSWERS} answers: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()


@pytest.mark.timeout(240 * TRIALS)
async def test_relays_that_forget_what_a_lost_answer_has_claimed_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def loses(folder: Path, seed: int) -> bool:
        command = sabotaged("forgets_lost_claims")
        seen = await campaign(folder, server, lambda made: lose_answers(made, 6, seed), within=8, command=command)
        report("lost answers", f"sabotaged, their claims are forgotten: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)


async def started_without_postgresql(
    folder: Path, server: Cluster, *, away: int = 0, within: float = DRAINED_WITHIN, command: Sequence[str] = RELAY
) -> Seen:
    """What was seen of relays that had webhooks, one of them also a kill -9, before they had PostgreSQL."""
    async with relays(folder, server, started=False, command=command) as made:
        for proxy in made.proxies.values():
            proxy.refuse()
        await asyncio.gather(*(each.start() for each in made.relays.values()))
        async with made.loaded({name: each.hook for name, each in made.relays.items()}):
            await made.sent(4 * PER_SECOND)
            await asyncio.sleep(away)
            await made.relays["b"].kill()
            await made.sent(PER_SECOND)
            await made.relays["b"].start()
            assert not made.targets.received
            for proxy in made.proxies.values():
                proxy.heal()
            await made.sent(4 * PER_SECOND)
        return await made.judged(within)


@pytest.mark.timeout(240 + 4 * AWAY)
async def test_webhooks_that_came_before_postgresql_survive_kill_9_in_the_spool(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    seen = await started_without_postgresql(tmp_path, server, away=AWAY, within=DRAINED_WITHIN + AWAY)
    report("start without PostgreSQL", f"{AWAY} s more: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_nothing_was_repeated()


@pytest.mark.timeout(240 * TRIALS)
async def test_relays_that_answer_before_they_have_spooled_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def loses(folder: Path, _seed: int) -> bool:
        seen = await started_without_postgresql(folder, server, within=10, command=sabotaged("spools_early"))
        report("start without PostgreSQL", f"sabotaged, answers before the spool has it: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
