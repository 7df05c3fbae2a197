"""Metrics and health of a relay whose store is stuck: they answer in their time, with what they know."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import apsw

from relay.daemon.wiring import url
from tests.scene import LEAD, Scene, form, sqlite_of

PATHS = ("/metrics", "/livez", "/readyz")
PROMISED = 0.2  # seconds
ROUNDS = 5


async def asked(scene: Scene) -> tuple[float, dict[str, str]]:
    """Every path, a few times: the shortest of the longest, because this machine has other work; and what was said."""
    longest, said = [], {}
    for _ in range(ROUNDS):
        took = []
        for path in PATHS:
            begun = perf_counter()
            async with scene.session.get(url(scene.relay.admin_listening) + path) as answer:
                said[path] = f"{answer.status} {await answer.text()}"
            took.append(perf_counter() - begun)
        longest.append(max(took))
    return min(longest), said


@asynccontextmanager
async def write_locked(scene: Scene) -> AsyncIterator[None]:
    """As by a program that began to write, and then went to lunch."""
    connection = apsw.Connection(str(scene.relay.settings.store))
    connection.set_busy_timeout(5_000)
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.execute("rollback")
        connection.close()


@asynccontextmanager
async def hung(scene: Scene) -> AsyncIterator[None]:
    """As by a disk that does not answer: neither the thread that reads nor the one that writes comes back."""
    over = threading.Event()
    scene.facts.gate.clear()
    sqlite_of(scene.relay)._reading.submit(over.wait, 30)
    try:
        yield
    finally:
        over.set()
        scene.facts.gate.set()


async def test_metrics_and_health_answer_while_somebody_else_holds_the_database(scene: Scene) -> None:
    async with write_locked(scene):
        why = await why_unready(scene)
    assert "locked" in why or "commit" in why


async def test_metrics_and_health_answer_while_the_disk_hangs(scene: Scene) -> None:
    async with hung(scene):
        why = await why_unready(scene)
    assert "commit within 1.5 s" in why or "committed within 1.5 s" in why


async def why_unready(scene: Scene) -> str:
    """What `/readyz` says once a webhook was answered 503; it and the others answer in time."""
    assert (await scene.post(form(LEAD))).status == 503
    took, said = await asked(scene)
    assert took < PROMISED
    assert said["/metrics"].startswith("200 ")
    assert said["/livez"] == "200 ok\n"
    assert said["/readyz"].startswith("503 ")
    return said["/readyz"]
