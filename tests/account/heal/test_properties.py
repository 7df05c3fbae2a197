"""What healing promises, over schedules of outages, faults and kills on virtual time; and that each guard is needed.

RELAY_HEAL_SCHEDULES says how many schedules: a few where pytest is run by hand or in CI, thousands before a release.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.account.heal import channels, healer, keys, scanner, settle
from relay.account.heal.keys import Key, Rule
from relay.account.heal.lanes import Lane
from relay.account.heal.matching import Times
from relay.account.heal.scanner import Scanner
from relay.account.heal.wanted import Wanted
from relay.model.heal import HealState
from tests.account.heal.schedule import HOUR, MINUTE, play
from tests.account.heal.world import World

SCHEDULES = int(os.environ.get("RELAY_HEAL_SCHEDULES", "24"))
ENOUGH = 200
"""Schedules in which a guard that is missing must show."""
STRAGGLING = {"stragglers": 0.2, "straggle_by": 23.9 * HOUR, "settled": 76 * HOUR, "every": HOUR}
A_LITTLE_LATE = {"stragglers": 0.3, "straggle_by": 8 * MINUTE}

pytestmark = pytest.mark.timeout(60 + SCHEDULES)


def assert_told(world: World) -> None:
    """P1, P2: each change that the table has as exact was routed exactly once in each channel, told or healed."""
    ought, was = world.oracle(), world.routed()
    assert was - ought == {}, f"twice, seed {world.seed}"
    assert ought - was == {}, f"lost, seed {world.seed}"
    ids = [event.id for event in world.healed()]
    assert len({*ids}) == len(ids), f"one event twice, seed {world.seed}"


def assert_fresh(world: World) -> None:
    """P3: the last state of each card came, or was healed."""
    assert world.stale() == [], f"seed {world.seed}"


def assert_needed(world: World) -> None:
    """P9: nothing was healed whose webhook came in time."""
    assert world.healed_though_told() == set(), f"seed {world.seed}"


def assert_paced(world: World) -> None:
    """P5: the account never had more requests in a second than it takes."""
    assert world.amo.limiter.peak <= 7, f"seed {world.seed}"


def assert_all(world: World) -> None:
    for each in (assert_told, assert_fresh, assert_needed, assert_paced):
        each(world)


async def test_outages_faults_and_kills_lose_nothing_and_double_nothing() -> None:
    healed = killed = refused = 0
    for seed in range(SCHEDULES):
        world = await play(seed)
        assert_all(world)
        healed, killed, refused = healed + len(world.healed()), killed + world.crashes, refused + len(world.failed)
    assert healed > SCHEDULES
    assert killed > SCHEDULES / 4
    assert refused > SCHEDULES / 10


@pytest.mark.parametrize(
    "quirks",
    [{"kommo": True}, {"time_jitter": 3}, {"lost": 0.05}, {"disorder": 30.0}, {"repeats_keep_request_id": False}],
    ids=str,
)
async def test_whatever_the_account_is_like(quirks: dict[str, Any]) -> None:
    for seed in range(1000, 1000 + SCHEDULES // 4):
        assert_all(await play(seed, **quirks))


async def test_where_times_stand_still_an_update_may_be_healed_too_much_and_none_too_little() -> None:
    """Its repeats look like older ones: it is healed with the present state, and nothing is lost."""
    for seed in range(2000, 2000 + SCHEDULES // 4):
        world = await play(seed, still_times=True)
        for each in (assert_told, assert_fresh):
            each(world)


async def test_where_times_in_webhooks_differ_nothing_is_doubled_and_nothing_lost() -> None:
    """An update may be healed too much: its time says nothing there."""
    widened = 0
    for seed in range(6000, 6000 + SCHEDULES // 4):
        world = await play(seed, time_jitter=20)
        for each in (assert_told, assert_fresh):
            each(world)
        widened += any(scan.drift for scan in world.scans)
    assert widened


async def test_events_that_are_a_little_late_are_healed_before_a_daily_look() -> None:
    """P10."""
    for seed in range(3000, 3000 + SCHEDULES // 4):
        assert_told(await play(seed, **A_LITTLE_LATE))


async def test_events_that_are_a_day_late_are_healed_after_the_daily_looks() -> None:
    """P8."""
    late = 0
    for seed in range(4000, 4000 + SCHEDULES // 8):
        world = await play(seed, **STRAGGLING)
        assert_told(world)
        late += sum(scan.late for scan in world.scans)
    assert late > 0


@pytest.mark.parametrize(
    ("seed", "quirks"),
    [(6371, {"time_jitter": 20}), (1270, {"lost": 0.05})],
    ids=["a task is given away as soon as it is there", "a task changes as an older webhook of it is repeated"],
)
async def test_what_few_schedules_have(seed: int, quirks: dict[str, Any]) -> None:
    world = await play(seed, **quirks)
    for each in (assert_told, assert_fresh):
        each(world)


async def test_what_waited_for_an_event_that_is_a_day_late_is_healed() -> None:
    """Its webhook looks like that of an equal move an hour before, and the trigger like one with a delay."""
    assert_told(await play(4167, **STRAGGLING))


async def test_without_the_clocks_offset_nothing_is_doubled() -> None:
    """What has no time of its own may then be taken as told."""
    for seed in range(5000, 5000 + SCHEDULES // 4):
        world = await play(seed, knows_offset=False)
        assert world.routed() - world.oracle() == {}, f"seed {seed}"


# ---- every guard is needed


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given the time to settle."""
    monkeypatch.setattr(healer, "is_ready", lambda *_: True)


def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was scanned is not read again."""
    monkeypatch.setattr(scanner, "OVERLAP", timedelta())


def many_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One webhook tells of every event of its key and time."""

    def pair(
        events: Sequence[datetime], hooks: Sequence[Times], *, spent: Mapping[int, int] | None = None
    ) -> dict[int, int]:
        return {e: h for e, at in enumerate(events) for h, hook in enumerate(hooks) if hook.contains(at)}

    monkeypatch.setattr(settle, "pair", pair)


def mark_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark moves before what was found is recorded."""
    real = Scanner._scan_lane

    async def scan_lane(self: Scanner, wanted: Wanted, lane: Lane, since: datetime, upto: datetime, *rest: Any) -> int:
        await self._store.record_heal(wanted.source, [], marks={lane.name: upto})
        return await real(self, wanted, lane, since, upto, *rest)

    monkeypatch.setattr(Scanner, "_scan_lane", scan_lane)


def by_entity_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events and webhooks match if they are about one entity."""

    def key(webhook_type: str, *parts: Any, rule: Rule) -> Key:
        return Key(f"{webhook_type}:{parts[0]}", rule)

    monkeypatch.setattr(keys, "key", key)


def one_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """All triggers of a stage are one channel."""
    monkeypatch.setattr(channels, "canonical", lambda _query: "")
    monkeypatch.setattr("tests.account.heal.world.canonical", lambda query: query and "")


def short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daily look goes back by its own period."""
    monkeypatch.setattr(scanner, "DAILY_LOOK", timedelta(hours=24))


@pytest.mark.parametrize(
    ("sabotage", "promise", "how"),
    [
        (at_once, assert_needed, {}),
        (no_overlap, assert_told, A_LITTLE_LATE),
        (many_to_one, assert_told, {}),
        (mark_first, assert_told, {}),
        (by_entity_alone, assert_told, {}),
        (one_channel, assert_told, {}),
        (lambda _: None, assert_needed, {"by_own_clock": True}),
        (short_look, assert_told, STRAGGLING),
    ],
    ids=["settle", "overlap", "one to one", "mark", "key", "channel", "clock", "daily look"],
)
async def test_without_this_guard_its_promise_breaks(
    sabotage: Callable[[pytest.MonkeyPatch], None],
    promise: Callable[[World], None],
    how: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sabotage(monkeypatch)
    for seed in range(ENOUGH):
        try:
            promise(await play(seed, **how))
        except AssertionError:
            return
    pytest.fail(f"{ENOUGH} schedules without it, and the promise held")


async def test_the_schedules_have_every_state_that_a_record_can_end_in() -> None:
    states: set[HealState] = set()
    for seed in range(SCHEDULES):
        states |= (await play(seed)).states().keys()
    assert states >= {HealState.MATCHED, HealState.HEALED, HealState.LATE_HOOK}
