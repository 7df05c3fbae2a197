"""`/readyz` tells the truth within a commit: one refusal is no verdict on the store."""

import asyncio
from time import monotonic

import pytest

from relay.daemon.readiness import PROBE_EVERY
from relay.daemon.wiring import url
from relay.http.machine_limits import Limits
from tests.scene import LEAD, Scene, form

SOON = PROBE_EVERY / 3


async def readyz(scene: Scene) -> int:
    async with scene.session.get(url(scene.relay.admin_listening) + "/readyz") as answer:
        return answer.status


@pytest.mark.parametrize("limits", [Limits(memory=1024)])
async def test_a_lack_of_memory_is_not_held_against_the_store(scene: Scene) -> None:
    await asyncio.sleep(0.3)  # the first probe is over, and the next one far
    scene.budget.reservation().grow(1024)
    assert (await scene.post(form(LEAD))).status == 503
    started = monotonic()
    while await readyz(scene) != 200:
        assert monotonic() - started < SOON
        await asyncio.sleep(0.01)


async def test_a_refusal_is_believed_until_the_store_has_said_otherwise(scene: Scene) -> None:
    await asyncio.sleep(0.3)
    scene.facts.gate.clear()
    try:
        assert (await scene.post(form(LEAD))).status == 503
        assert await readyz(scene) == 503
    finally:
        scene.facts.gate.set()
