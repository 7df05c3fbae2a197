"""An owner that sleeps past its leases now and then: only the holder of the present claim token can settle.

One relay owns its store alone, but a machine that was suspended wakes up with attempts whose leases have run out.
Time is passed, nothing sleeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random

import apsw
import pytest

from relay.model import Dead, Delivered, Delivery, RetryAt, State, Verdict
from relay.store.contract import Archive
from relay.store.records import Filter
from relay.store.requests import Settlement
from relay.store.sqlite import claims
from relay.store.sqlite.sql import rows
from tests.chaos.conftest import Report
from tests.chaos.scale import SEED, scaled
from tests.store.conftest import MINUTE, NOON, OK, open_sqlite, routed, to, webhook

DELIVERIES, AT_A_TIME = scaled(2_000), 40
ENDS = {Delivered: State.DELIVERED, Dead: State.DEAD}

settle_all = claims.settle_all


def settle_for_anybody(cursor: apsw.Cursor, settled: Sequence[Settlement]) -> list[bool]:
    """Sabotaged: the claim token is not checked."""
    return settle_all(cursor, [each._replace(delivery=at_present(cursor, each.delivery)) for each in settled])


def at_present(cursor: apsw.Cursor, delivery: Delivery) -> Delivery:
    """As if it were the present owner's."""
    sql = "select claim from deliveries where event = ? and target = ?"
    [(token,)] = rows(cursor, sql, (delivery.row, delivery.target))
    return replace(delivery, token=token)


@dataclass(slots=True, repr=False)
class Campaign:
    """`present` is the token of the last claim, `ended` what its owner said; both by event."""

    store: Archive
    chance: Random
    present: dict[str, int] = field(default_factory=dict)
    ended: dict[str, State] = field(default_factory=dict)
    stale: int = 0
    usurped: int = 0
    unheard: int = 0
    wrong: int = 0
    _now: datetime = NOON
    _in_hand: list[Delivery] = field(default_factory=list)

    async def run(self) -> None:
        """Until all are delivered or dead, and every sleeper has woken up."""
        while await self._owed() or self._in_hand:
            self._now += MINUTE * self.chance.uniform(0.0, 0.5)
            await self._claim()
            woken = [each for each in self._in_hand if self.chance.random() < 0.4]
            self._in_hand = [each for each in self._in_hand if each not in woken]
            for delivery in woken:
                await self._settle(delivery)
        found = await self.store.find(Filter(), limit=2 * DELIVERIES)
        self.wrong = sum(record.state != self.ended.get(record.event_id) for record in found)

    async def _owed(self) -> int:
        return sum((await self.store.count(Filter(states=(State.PENDING,)))).values())

    async def _claim(self) -> None:
        for delivery in await self.store.claim("bot", limit=20, max_bytes=1_000_000, now=self._now, lease=MINUTE):
            self.present[delivery.event_id] = delivery.token
            self._in_hand.append(delivery)

    async def _settle(self, delivery: Delivery) -> None:
        ours = self.present[delivery.event_id] == delivery.token
        choices: list[Verdict] = [Delivered(), Dead("refused"), RetryAt(self._now + MINUTE)]
        verdict = self.chance.choice(choices)
        counted = await self.store.settle(delivery, OK, verdict, now=self._now)
        self.stale += not ours
        self.usurped += counted and not ours
        self.unheard += ours and not counted
        if ours and type(verdict) in ENDS:
            self.ended[delivery.event_id] = ENDS[type(verdict)]

    def __str__(self) -> str:
        return (
            f"{len(self.present)} deliveries, {self.stale} settled by a stale owner: {self.usurped} of these counted,"
            f" {self.unheard} of the present owner did not, {self.wrong} stand otherwise than it said"
        )


async def campaign(folder: Path) -> Campaign:
    """Run one on a new store in `folder`."""
    ours = open_sqlite(folder, NOON)
    try:
        seen = Campaign(ours, Random(SEED))
        for number in range(1, DELIVERIES, AT_A_TIME):  # fewer than would leave what was slept over to the end
            events = [routed(number + each, to()) for each in range(AT_A_TIME)]
            await ours.keep(webhook(number), events)
            await seen.run()
        return seen
    finally:
        await ours.close()


@pytest.mark.timeout(120)
async def test_a_stale_owner_settles_nothing(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path)
    report("stale owner", str(seen))
    assert seen.stale > DELIVERIES // 20
    assert (seen.usurped, seen.unheard, seen.wrong) == (0, 0, 0)


@pytest.mark.timeout(120)
async def test_a_store_that_lets_anybody_settle_is_found_guilty(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "settle_all", settle_for_anybody)
    seen = await campaign(tmp_path)
    report("stale owner, sabotaged", f"settle_for_anybody: {seen}")
    assert seen.usurped
    assert seen.wrong
