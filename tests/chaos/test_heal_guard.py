"""Failures of ours have amoCRM switch the webhook off: the guard sees it, and does what the file allows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.chaos.conftest import Report
from tests.chaos.crm import SETTLED_AFTER, Crm, begun, crm, demand_once, heals, looked_again, told_of
from tests.chaos.faketime import lies
from tests.chaos.scale import SEED
from tests.e2e.processes import RELAY, run, until

CHANGES = 12
QUICK = 2.5
"""Seconds that go by in each: between two marks that a relay runs, ten apart, fewer than make an outage."""
SOON_AFTER_FAILED_ANSWERS = 125.0
"""Seconds: the guard looks two minutes after an answer of ours that failed, not after the five of other times."""

pytestmark = pytest.mark.timeout(600)


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


def states(it: Crm) -> list[str]:
    """What the relays have announced of the webhook, in order."""
    return [line["state"] for line in it.relay.lines("the webhook in amoCRM")]


async def unhealable(it: Crm) -> bool:
    return await it.relay.metric("relay_heal_events_total", source="crm", verdict="unhealable") >= CHANGES


async def shown_as_disabled(it: Crm) -> bool:
    return await it.relay.metric("relay_subscription_state", source="crm", state="disabled") == 1


async def watched(it: Crm) -> None:
    """Wait until the guard has found all well."""
    await until(lambda: states(it)[-1:] == ["ok"], 60)


async def looked(it: Crm) -> None:
    """Have minutes go by after which the guard looks, and wait until it has."""
    asked = len(it.amo.requests)
    it.jump(360)
    await until(lambda: any("/webhooks" in path for _, _, path, _ in it.amo.requests[asked:]), 60)


def written(it: Crm) -> list[str]:
    """The methods of requests that have changed something in the account."""
    return [method for _, method, _path, _ in it.amo.requests if method != "GET"]


async def asked_to_heal(it: Crm, since: str) -> str:
    """What `relay heal run` says while no relay runs."""
    asked = ("heal", "run", "crm", "--since", since, f"--store={it.relay.store_url}")
    more = {"RELAY_CONFIG": str(it.relay.routes), "AMOCRM": it.amo.token, **lies(it.clock)}
    code, _, complaint = await run(*RELAY, *asked, **more)
    assert code == 1
    return complaint


async def passed(it: Crm, seconds: float) -> None:
    """Have time go by that is no outage to a relay that runs, as a jump would be."""
    for _ in range(round(seconds / QUICK)):
        it.jump(QUICK - 1.0)
        await asyncio.sleep(1.0)


async def restarted(it: Crm) -> None:
    """Have the guard look at once, and wait until it has."""
    await it.stop()
    asked = len(it.amo.requests)
    await it.start()
    await until(lambda: any("/webhooks?" in path for _, _, path, _ in it.amo.requests[asked:]), 60)


async def test_a_webhook_that_an_outage_switched_off_is_on_again_and_its_gap_is_healed(
    tmp_path: Path, report: Report
) -> None:
    async with crm(tmp_path, SEED) as it:
        await begun(it)
        await watched(it)
        (webhook,) = it.amo.subscriptions
        await in_vain(it, 130)
        await until(lambda: not webhook.disabled, 60)
        await it.busy(5)
        await it.stop()
        await heals(it, Random(SEED))
        await looked_again(it)
        report("heal", f"switched off: {told_of(it)}")
        demand_once(it)
        assert it.number_healed() >= 20


async def test_a_relay_whose_answers_failed_switches_its_webhook_on_within_minutes_and_the_gap_is_healed(
    tmp_path: Path, report: Report
) -> None:
    async with crm(tmp_path, SEED) as it:
        await begun(it)
        await watched(it)
        (webhook,) = it.amo.subscriptions
        await refused(it, 130)
        assert webhook.disabled
        await it.busy(20)
        await passed(it, SOON_AFTER_FAILED_ANSWERS)
        await until(lambda: not webhook.disabled, 60)
        await until(lambda: states(it) == ["ok", "disabled", "ok"], 60)
        assert written(it) == ["POST"]
        await it.stop()
        await it.start()  # after jumps it goes by a wrong time of the account's
        before = len(it.events())
        it.amo.add_lead()
        await until(lambda: len(it.events()) > before, 60)
        await it.stop()
        await heals(it, Random(SEED))
        await looked_again(it)
        report("heal", f"switched off for 503: {told_of(it)}")
        demand_once(it)
        assert it.number_healed() >= 10


async def test_what_a_person_switched_off_stays_off_and_its_gap_is_healed_once_somebody_asks(tmp_path: Path) -> None:
    async with crm(tmp_path, SEED) as it:
        await begun(it)
        await watched(it)
        await until(lambda: not it.missing(), 60)
        it.amo.switch_off(it.relay.hook)
        await restarted(it)
        await until(lambda: states(it)[-1:] == ["disabled"], 60)
        for _ in range(CHANGES):
            it.amo.add_lead()
        await restarted(it)
        it.amo.switch_on(it.relay.hook)
        await restarted(it)
        await until(lambda: states(it) == ["ok", "disabled", "ok"], 60)
        assert written(it) == []
        await it.stop()
        it.jump(SETTLED_AFTER * 3600)
        await it.start()
        await until(lambda: unhealable(it), 60)
        assert it.number_healed() == 0
        await it.stop()
        assert "no relay runs" in await asked_to_heal(it, "6h")
        await it.start()
        await until(lambda: not it.missing(), 60)
        demand_once(it)
        assert it.number_healed() == CHANGES


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
        await until(lambda: shown_as_disabled(it), 60)
        await restarted(it)
        await until(lambda: shown_as_disabled(it), 60)
        assert states(it) == ["ok", "disabled"]
        assert webhook.disabled
        assert written(it) == []
