"""What webhooks and feed show of an account: how its times differ, which posts are repeats, and which are delayed."""

from collections import Counter
from datetime import datetime, timedelta
from threading import current_thread
from typing import Any

import pytest

from relay.account.heal import matcher
from relay.account.heal.drift import Differences, differences
from relay.account.heal.expected import expected_webhooks
from relay.account.heal.healer import TRIGGER_UNKNOWN
from relay.account.heal.limits import limits
from relay.account.heal.matcher import Matcher
from relay.account.heal.settle import Settled, settle
from relay.account.heal.verdicts import TRIGGER_DELAYED
from relay.model.heal import HealRecord, HealState, Hook, StoredHook
from tests.account.heal.amo import CHANGED
from tests.account.heal.schedule import HOUR, MINUTE
from tests.account.heal.test_bodies import record
from tests.account.heal.test_keys import CHANGES
from tests.account.heal.world import World

# ---- times in bodies


@pytest.mark.parametrize(
    ("seen", "within"),
    [
        ([], 5),
        ([0.0, 5.0], 5),
        ([0.0, 6.0], 8),
        ([59.5], 60),
        ([*[0.0] * 4000, 50.0], 5),
        ([*[0.0] * 900, 50.0], 52),
    ],
)
def test_what_nearly_all_of_them_differ_by_is_allowed_for(seen: list[float], within: float) -> None:
    differences = Differences()
    assert differences.see(seen) is (within > 5)
    assert differences.within == timedelta(seconds=within)
    assert not differences.see([0.0] * 5000), "never less than before"
    assert differences.within == timedelta(seconds=within)


def test_a_webhook_is_compared_with_its_own_event_whichever_scan_settled_that() -> None:
    """The nearest of this scan alone may be that of another move, seconds later."""
    told, later = moved("e1", CHANGED), moved("e2", CHANGED + timedelta(seconds=20))
    hooks = [
        StoredHook(Hook(0, "account", told.key, at, None, at, at), f"w{n}")
        for n, at in enumerate((CHANGED, CHANGED + timedelta(seconds=21), CHANGED + timedelta(minutes=5)))
    ]
    assert differences([later], [told], hooks) == [1.0]
    assert differences([told, later], [], hooks) == [0.0, 1.0]


def moved(id_: str, at: datetime) -> HealRecord:
    [event] = [event for _body, event, action in CHANGES if action == "leads.status"]
    told, *_ = expected_webhooks(event)
    return record(told, event, event_id=id_, at=at)


async def test_an_account_whose_times_differ_has_nothing_sent_twice() -> None:
    world = World(seed=6, quirks={"time_jitter": 25})
    lead, (one, two) = world.amo.add_lead(), stages(world)
    for n in range(20):
        world.amo.move(lead, (two, one)[n % 2])
        await world.run(20 * MINUTE)
    await world.run(3 * HOUR)
    assert world.routed() == world.oracle()
    assert max(max(scan.differences, default=0) for scan in world.scans) > 5
    assert max(scan.drift for scan in world.scans if scan.drift) > timedelta(seconds=7)


async def test_a_move_that_was_lost_is_not_a_difference_of_times() -> None:
    """The nearest webhook of a lost one is that of another move."""
    world = World(seed=6)
    lead, (one, two) = world.amo.add_lead(), stages(world)
    await world.run(10 * MINUTE)
    world.answer = None
    world.amo.move(lead, two)
    world.advance(20)
    world.amo.move(lead, one)
    world.advance(10)
    world.answer = 200
    world.amo.move(lead, two)
    await world.run(3 * HOUR)
    assert not any(scan.drift for scan in world.scans)
    assert world.routed() == world.oracle()


async def test_a_move_of_before_healing_began_is_not_a_difference_of_times() -> None:
    """Its event is not recorded, so the nearest one with its key is that of another move."""
    world = World(seed=6)
    lead, (one, two) = world.amo.add_lead(), stages(world)
    for stage in (one, two):
        world.amo.move(lead, stage)
    world.advance(20)
    world.answer = None
    for stage in (one, two):
        world.amo.move(lead, stage)
        world.advance(20)
    world.answer = 200
    await world.run(3 * HOUR)
    assert not any(scan.drift for scan in world.scans)
    assert world.routed() == world.oracle()


async def test_moves_of_one_lead_that_two_scans_settle_are_no_difference_of_times() -> None:
    world = World(seed=6)
    (one, two) = stages(world)
    lead = world.amo.add_lead(stage=one)
    await world.run(10 * MINUTE)
    began = world.clock()
    for stage in (two, one, two):
        world.amo.move(lead, stage)
        world.advance(10)
    settles = limits(world.heal, kommo=False).account.settle.total_seconds()
    for after in (10, 30):
        world.advance(began + settles + after - world.clock())
        await world.scan()
    assert [scan.differences for scan in world.scans[-2:]] == [[0.0], [0.0, 0.0]]


async def test_thousands_are_matched_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long as a webhook may wait for its answer."""
    threads = []

    def noted(*given: Any, **named: Any) -> Settled:
        threads.append(current_thread())
        return settle(*given, **named)

    monkeypatch.setattr(matcher, "settle", noted)
    world = World(seed=6)
    world.amo.add_lead()
    await world.run(10 * MINUTE)
    world.amo.add_lead()
    await world.run(3 * HOUR)
    assert threads
    assert current_thread() not in threads


# ---- repeats


@pytest.mark.parametrize(("keeps", "healed"), [(True, 1), (False, 0)])
async def test_a_repeat_of_a_trigger_is_no_webhook_of_a_second_change(keeps: bool, healed: int) -> None:
    """Without the same request id it may be: that one is then not healed."""
    world = World(seed=7, quirks={"kommo": True})
    one, two = stages(world)
    lead = world.amo.add_lead(stage=one)
    world.trigger(two, "try=1", "status")
    await prove(world, one, two)
    world.amo.move(lead, two)
    world.advance(MINUTE)
    [post] = [each for each in world.amo.posts.all[-3:] if "try=1" in each.destination]
    world.amo.quirks.lost = 1.0
    for stage in (one, two):
        world.amo.move(lead, stage)
        world.advance(20)
    world.amo.quirks.lost = 0.0
    if not keeps:
        post.request_id = "another"
    world._receive(post)
    await world.run(4 * HOUR)
    assert of_triggers(world)[HealState.HEALED] == healed


async def test_two_items_of_one_body_are_two_webhooks() -> None:
    world = World(seed=7)
    hooks = [StoredHook(Hook(n, "account", "leads.status:1", CHANGED, None, CHANGED, CHANGED), w) for n, w in BODIES]
    world.store.requested |= {"w1": "a", "w2": "a"}
    assert await Matcher(world.store)._repeats(hooks) == [hooks[2]]


BODIES = ((0, "w1"), (1, "w1"), (0, "w2"))


# ---- triggers with a delay


async def test_a_trigger_of_which_nothing_came_in_time_waits_for_an_approval() -> None:
    world = World(seed=8, approves=False)
    lead, (_one, two) = world.amo.add_lead(), stages(world)
    world.trigger(two, "try=1", "status")
    await world.run(10 * MINUTE)
    world.outage(HOUR, change=lambda: lead.fields["status_id"] != two.id and world.amo.move(lead, two) and None)
    await world.run(3 * HOUR)
    assert of_triggers(world) == {HealState.WAITING: 1}
    [reason] = {each.reason for each in world.store.known.values() if each.state is HealState.WAITING}
    assert reason == TRIGGER_UNKNOWN
    await world.store.approve("crm", at=world.now())
    await world.scan()
    assert of_triggers(world) == {HealState.HEALED: 1}


async def killed_after_an_outage(commit: int | None) -> tuple[World, int]:
    """A trigger tells of a move, then of none for an hour; the scan that first finds both is killed at a commit.

    Return the world once all has settled, and how many commits that scan made.
    """
    world = World(seed=8, approves=False)
    one, two = stages(world)
    world.trigger(two, "try=1", "status")
    lead = world.amo.add_lead(stage=one)
    await world.run(10 * MINUTE)
    world.amo.move(world.amo.add_lead(stage=one), two)
    world.advance(MINUTE)
    world.outage(HOUR, change=lambda: lead.fields["status_id"] != two.id and world.amo.move(lead, two) and None)
    world.advance(3 * HOUR)
    before = world.store.commits
    world.store.crash_at = None if commit is None else before + commit
    await world.scan()
    commits = world.store.commits - before
    await world.run(HOUR)
    return world, commits


async def test_killed_at_any_write_a_relay_knows_which_triggers_told_in_time() -> None:
    """If only the records were stored, what the trigger lost would wait until its next webhook, or for an operator."""
    _, commits = await killed_after_an_outage(None)
    for commit in range(1, commits + 1):
        world, _ = await killed_after_an_outage(commit)
        assert world.crashes == 1
        assert of_triggers(world) == {HealState.MATCHED: 1, HealState.HEALED: 1}, commit


async def test_many_that_are_lost_are_not_each_compared_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop the event loop, and with it what comes meanwhile."""
    world = World(seed=8, approves=False)
    _one, two = stages(world)
    world.trigger(two, "try=1", "status")
    world.amo.add_lead()
    await world.run(10 * MINUTE)
    leads, compared = [world.amo.add_lead() for _ in range(40)], 0
    is_equal = HealRecord.__eq__

    def count(one: HealRecord, other: object) -> bool:
        nonlocal compared
        compared += 1
        return is_equal(one, other)

    world.outage(HOUR, change=lambda: leads and world.amo.move(leads.pop(), two) and None)
    while leads:
        world.outage(HOUR, change=lambda: leads and world.amo.move(leads.pop(), two) and None)
    monkeypatch.setattr(HealRecord, "__eq__", count)
    await world.run(3 * HOUR)
    assert of_triggers(world) == {HealState.WAITING: 40}
    assert compared < 40


async def test_a_trigger_that_has_come_in_time_is_healed() -> None:
    world = World(seed=8, approves=False)
    lead, (one, two) = world.amo.add_lead(), stages(world)
    world.trigger(two, "try=1", "status")
    await prove(world, one, two)
    world.restart()
    world.outage(HOUR, change=lambda: lead.fields["status_id"] != two.id and world.amo.move(lead, two) and None)
    await world.run(3 * HOUR)
    assert of_triggers(world) == {HealState.MATCHED: 1, HealState.HEALED: 1}


async def test_a_trigger_with_a_delay_is_reported_and_not_healed() -> None:
    """Its webhook would come after the healed one."""
    world = World(seed=8, approves=False)
    (one, two) = stages(world)
    world.trigger(two, "try=1", "status")
    await prove(world, one, two)
    world.amo.triggers[0].delay = 15 * MINUTE
    for _ in range(3):
        world.amo.move(world.amo.add_lead(stage=one), two)
        await world.run(40 * MINUTE)
    states = of_triggers(world)
    assert states[HealState.HEALED] <= 1
    assert states[HealState.UNHEALABLE] >= 2
    reasons = {each.reason for each in world.store.known.values() if each.state is HealState.UNHEALABLE}
    assert reasons == {TRIGGER_DELAYED}


# ----


def stages(world: World) -> tuple[Any, Any]:
    structure = world.amo.structure
    return structure.stage("Переговоры"), structure.stage("Оффер")


async def prove(world: World, one: Any, two: Any) -> None:
    """A move of another lead, of which the trigger tells in time."""
    await world.run(10 * MINUTE)
    world.amo.move(world.amo.add_lead(stage=one), two)
    await world.run(2 * HOUR)


def of_triggers(world: World) -> Counter[HealState]:
    return Counter(each.state for each in world.store.known.values() if each.channel.startswith("dp:"))
