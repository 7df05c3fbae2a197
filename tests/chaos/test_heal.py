"""Relays that are away, killed, or switched off by amoCRM: what no webhook brought is healed, once.

The account is a double of amoCRM's, with a log of what each channel ought to have told. Virtual time goes by in jumps
while no relay runs. RELAY_CHAOS_SCALE=10 runs the fifty schedules and more.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic
from typing import TypeAlias

import pytest

from tests.chaos.conftest import Report
from tests.chaos.crm import Crm, crm
from tests.chaos.scale import SEED, scaled
from tests.e2e.processes import until

SCHEDULES = scaled(50, least=3)
SETTLED_AFTER = 2.2  # hours: what has not come by then is lost
MOST_ROUNDS = 8
HEALED_WITHIN = 20.0  # seconds of a relay that runs; it asks for two pages a second
TICK = 0.02
Cause: TypeAlias = Callable[[Crm, int], Awaitable[None]]

pytestmark = pytest.mark.timeout(900)


async def holds(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(TICK)
    return True


async def begun(it: Crm) -> None:
    """Start, and have a first webhook kept: nothing that happened before it is healed."""
    await it.start()
    await it.busy(5)
    await until(lambda: len(it.events()) >= 5, 30)


async def healed(it: Crm, chance: Random, *, kills: int = 0) -> None:
    """Let the settle time go by, and have a relay heal; it is killed some times while it does."""
    for _ in range(MOST_ROUNDS):
        it.jump(SETTLED_AFTER * 3600)
        await it.start()
        if kills:
            kills -= 1
            asked = len(it.amo.requests) + chance.randrange(1, 8)
            await holds(lambda asked=asked: len(it.amo.requests) >= asked, 5)
            await asyncio.sleep(chance.random() * 0.2)
            await it.kill()
        elif await holds(lambda: not it.missing(), HEALED_WITHIN):
            return
        else:
            await it.stop()
    pytest.fail(f"not healed after {MOST_ROUNDS} starts: {it.missing()}")


async def looked_again(it: Crm) -> None:
    """Another start, a day later: it reads the feed of two days, and there is nothing to do."""
    await it.stop()
    it.jump(25 * 3600)
    asked = len(it.amo.requests)
    await it.start()
    await until(lambda: sum("/events?" in path for _, _, path, _ in it.amo.requests[asked:]) >= 3, 60)
    await asyncio.sleep(1.0)
    await it.stop()


def demand_once(it: Crm) -> None:
    """What could be told of one by one was, once in each channel, within amoCRM's limits."""
    assert it.missing() == {}
    assert it.surplus() == {}
    assert it.twice() == []
    assert it.amo.limiter.peak <= it.amo.limiter.most
    assert it.amo.limiter.after_block == 0


def told_of(it: Crm) -> str:
    return (
        f"{len(it.amo.log)} changes, {len(it.amo.rows())} to be told, {it.number_healed()} healed;"
        f" {it.kills} kills, {it.starts} starts, {it.amo.limiter.requests} requests, at most {it.amo.limiter.peak}/s;"
        f" missing {sum(it.missing().values())}, surplus {sum(it.surplus().values())}, twice {len(it.twice())}"
    )


# ---- outages and kills


async def goes_through(it: Crm, chance: Random) -> None:
    """One of the things that happen to a relay; it runs before and after."""
    match chance.choice(["away", "away", "killed", "blip"]):
        case "away":
            await it.stop()
            await it.away(chance.randrange(3, 30), hours=chance.choice([0.1, 0.5, 3.0, 9.0]))
        case "killed":
            busy = asyncio.create_task(it.busy(chance.randrange(5, 40)))
            await asyncio.sleep(chance.random())
            await it.kill()
            await busy
            it.jump(chance.choice([20, 400, 4_000]))
        case "blip":
            it.amo.quirks.lost = 0.2
            await it.busy(20)
            it.amo.quirks.lost = 0.0
            await it.kill()
            it.jump(600)
    await it.start()
    await it.busy(chance.randrange(5, 20))


@pytest.mark.parametrize("number", range(SCHEDULES))
async def test_whatever_a_relay_goes_through_every_change_is_told_once(
    tmp_path: Path, report: Report, number: int
) -> None:
    chance = Random(SEED + number)
    quirks = {"alpha": chance.random() < 0.5, "time_jitter": chance.choice([0, 2])}
    async with crm(tmp_path, SEED + number, **quirks) as it:
        await begun(it)
        for _ in range(chance.randrange(1, 4)):
            await goes_through(it, chance)
        await it.stop()
        await healed(it, chance, kills=chance.randrange(3))
        await looked_again(it)
        report("heal", f"schedule {number}: {told_of(it)}")
        demand_once(it)


# ---- switched off by amoCRM


@asynccontextmanager
async def locked(store: Path) -> AsyncIterator[None]:
    """Nobody else can write to the store."""
    connection = sqlite3.connect(store, isolation_level=None, timeout=60)
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.execute("rollback")
        connection.close()


async def refused(it: Crm, changes: int) -> None:
    """So many webhooks that the relay answers 503, as its store is held by another."""
    async with locked(it.relay.store):
        for _ in range(changes):
            it.amo.add_lead()
            await asyncio.sleep(0.01)
        await until(lambda: sum(bool(post.answers) for post in it.amo.posts.all[-changes:]) == changes, 60)


async def in_vain(it: Crm, changes: int) -> None:
    """So many webhooks for which no relay is there."""
    await it.stop()
    for _ in range(changes):
        it.amo.add_lead()
        it.jump(5)
    await until(it.server.is_idle, 60)
    await it.start()


async def person(it: Crm, changes: int) -> None:
    """Somebody switches the webhook off on purpose, and the account changes on."""
    it.amo.switch_off(it.relay.hook)
    for _ in range(changes):
        it.amo.add_lead()


def states(it: Crm) -> list[str]:
    """What the relays have announced of the webhook, in order."""
    return [line["state"] for line in it.relay.lines("the webhook in amoCRM")]


async def watched(it: Crm) -> None:
    """Wait until the guard has found all well."""
    await until(lambda: states(it)[-1:] == ["ok"], 60)


async def looked(it: Crm) -> None:
    """Have minutes go by after which the guard looks, and wait until it has."""
    asked = len(it.amo.requests)
    it.jump(360)
    await until(lambda: any("/webhooks" in path for _, _, path, _ in it.amo.requests[asked:]), 60)


@pytest.mark.parametrize("cause", [refused, in_vain])
async def test_a_webhook_that_our_failures_switched_off_is_on_again_and_its_gap_is_healed(
    tmp_path: Path, report: Report, cause: Cause
) -> None:
    async with crm(tmp_path, SEED) as it:
        await begun(it)
        await watched(it)
        (webhook,) = it.amo.subscriptions
        await cause(it, 130)
        if cause is refused:
            assert webhook.switched_off_by == "amocrm"
            await it.busy(20)
            it.jump(360)
        await until(lambda: not webhook.disabled, 60)
        await it.busy(5)
        await it.stop()
        await healed(it, Random(SEED))
        await looked_again(it)
        report("heal", f"switched off ({cause.__name__}): {told_of(it)}")
        demand_once(it)
        assert it.number_healed() >= 20


async def test_with_reenabling_off_there_is_one_alert_and_nothing_else(tmp_path: Path) -> None:
    async with crm(tmp_path, SEED, reenable="false") as it:
        await begun(it)
        await watched(it)
        (webhook,) = it.amo.subscriptions
        await refused(it, 130)
        await looked(it)
        await until(lambda: states(it)[-1:] == ["disabled"], 60)
        await looked(it)
        await looked(it)
        assert states(it) == ["ok", "disabled"]
        assert await it.relay.metric("relay_subscription_state", source="crm", state="disabled") == 1
        assert webhook.disabled
        assert not [path for _, method, path, _ in it.amo.requests if method != "GET"]


async def test_what_a_person_switched_off_stays_off_and_foreign_webhooks_are_left_alone(tmp_path: Path) -> None:
    async with crm(tmp_path, SEED, reenable="recreate") as it:
        foreign = it.amo.subscribe("https://other.example/hook", ["add_lead"])
        await begun(it)
        await watched(it)
        (webhook,) = (each for each in it.amo.subscriptions if each is not foreign)
        await person(it, 5)
        for _ in range(3):
            await looked(it)
        assert states(it) == ["ok", "disabled"]
        assert webhook.disabled
        assert foreign in it.amo.subscriptions
        assert not [path for _, method, path, _ in it.amo.requests if method != "GET"]
