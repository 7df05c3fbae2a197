"""PostgreSQL's primary dies and a standby takes over; what only the dead one knew is stored again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, PER_SECOND, Relays, campaign
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import at_length
from tests.chaos.seen import Seen
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY
from tests.postgres import Cluster, cluster

EACH = 75  # webhooks a second for each relay: enough of what a standby does not know is not delivered either
FAILOVERS = at_length(10, briefly=1)
BEHIND = 2.0  # seconds


async def failed_over(
    folder: Path, *, synchronous: bool, command: Sequence[str] = RELAY, within: float = DRAINED_WITHIN
) -> tuple[Seen, int]:
    """What was seen, and how many webhooks the relays stored again."""
    with cluster(durable=True) as first:
        second = await asyncio.to_thread(lambda: first.standby(synchronous=synchronous))
        again = 0

        async def fails_over(made: Relays) -> None:
            nonlocal again
            if not synchronous:
                await asyncio.to_thread(second.detach)
                await asyncio.sleep(BEHIND)
            await take_over(first, second)
            await made.sent(4 * PER_SECOND)
            again = sum([int(await each.metric("relay_rekept_webhooks_total")) for each in made.relays.values()])

        return await campaign(
            folder, first, fails_over, others=(second,), command=command, within=within, per_second=EACH
        ), again


async def take_over(first: Cluster, second: Cluster) -> None:
    """Connections to the first one stay for a while, as when its machine hangs."""
    await asyncio.to_thread(first.freeze)
    await asyncio.sleep(2.0)
    await asyncio.to_thread(first.stop, "immediate")
    await asyncio.to_thread(second.promote)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("_time", range(FAILOVERS))
async def test_a_synchronous_standby_has_all_and_nothing_is_repeated(
    _time: int, tmp_path: Path, report: Report
) -> None:
    seen, again = await failed_over(tmp_path, synchronous=True)
    report("fail-over, synchronous", f"{again} stored again: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert again == 0


@pytest.mark.timeout(180)
async def test_what_a_standby_that_was_behind_does_not_know_is_stored_again(tmp_path: Path, report: Report) -> None:
    seen, again = await failed_over(tmp_path, synchronous=False)
    report(f"fail-over, {BEHIND:.0f} s behind", f"{again} stored again: {seen}")
    assert not seen.findings.lost
    assert not seen.findings.unexpected
    seen.assert_all_answered_200()
    assert again > 0


@pytest.mark.timeout(240 * TRIALS)
async def test_relays_that_keep_no_tail_are_found_guilty(tmp_path: Path, report: Report) -> None:
    async def loses(folder: Path, _seed: int) -> bool:
        seen, _ = await failed_over(folder, synchronous=False, command=sabotaged("keeps_no_tail"), within=10)
        report(f"fail-over, {BEHIND:.0f} s behind", f"sabotaged, no tail: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
