"""Failures of ours have amoCRM switch the webhook off: the guard sees it, and does what the file allows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.chaos.conftest import Report
from tests.chaos.crm import Crm, begun, crm, demand_once, heals, looked_again, told_of
from tests.chaos.scale import SEED
from tests.e2e.processes import until

pytestmark = pytest.mark.timeout(300)


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


async def watched(it: Crm) -> None:
    """Wait until the guard has found all well."""
    await until(lambda: states(it)[-1:] == ["ok"], 60)


async def looked(it: Crm) -> None:
    """Have minutes go by after which the guard looks, and wait until it has."""
    asked = len(it.amo.requests)
    it.jump(360)
    await until(lambda: any("/webhooks" in path for _, _, path, _ in it.amo.requests[asked:]), 60)


async def test_a_webhook_that_our_failures_switched_off_is_on_again_and_its_gap_is_healed(
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
