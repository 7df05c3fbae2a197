"""Series have no lock: a signal that is counted comes from one thread, whatever the relay does."""

import asyncio
import threading
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import running, url
from relay.signals import (
    Attempted,
    Blocked,
    Claimed,
    Committed,
    ConfigActivated,
    DuplicateReceived,
    Evicted,
    Probed,
    Reloaded,
    Signal,
    WebhookRejected,
    WebhookStored,
)
from relay.store.open import SqliteUrl
from tests.scene import FORM, OTHER_TOKEN, ROUTES, TOKEN

COUNTED = (
    Attempted, Blocked, Claimed, Committed, ConfigActivated, DuplicateReceived, Evicted, Probed, Reloaded,
    WebhookRejected, WebhookStored,
)  # fmt: skip


async def test_commits_are_counted_by_the_stores_thread_and_all_else_by_the_event_loops(tmp_path: Path) -> None:
    threads: dict[type, set[str]] = {}
    attempted = asyncio.Event()

    def emit(signal: Signal) -> None:
        threads.setdefault(type(signal), set()).add(threading.current_thread().name)
        if isinstance(signal, Attempted):
            attempted.set()

    routes, nowhere = tmp_path / "routes.yaml", "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    settings = Settings(
        config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
    )
    starting = running(settings, emit=emit, registry=CollectorRegistry())
    async with starting as relay, aiohttp.ClientSession() as session:
        hook = f"{url(relay.listening)}/hooks/pipeline/"
        for token, body in (
            (TOKEN, b"leads[add][0][id]=7"),
            (TOKEN, b"leads[add][0][id]=7"),
            (TOKEN, b"leads[add][0][note]=" + b"x" * 20_000),
            (TOKEN, b""),
            ("wrong", b"a=1"),
        ):
            await (await session.post(hook + token, data=body, headers=FORM)).release()
        await relay.reloader.reload()
        await attempted.wait()
    counted = {kind: names for kind, names in threads.items() if kind in COUNTED}
    assert counted.keys() == set(COUNTED) - {Blocked, Evicted}
    assert counted.pop(Committed) == {"relay-store"}
    assert set().union(*counted.values()) == {threading.main_thread().name}
