"""The process around a running relay: signals, what systemd is told, the garbage collector, the exit code."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from relay import __version__
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.http.systemd import notify
from relay.signals import Emit, Notice

STOP_LIMIT = 7.5  # seconds; documented as 8
GC_THRESHOLDS = 1_000, 10, 100
"""Objects, collections of those, and collections of these: rarely enough that a flood of webhooks costs nothing, and
with pages of the console under way none takes longer than 5 ms (25 ms with 5,000 and 20).
"""


async def serve(settings: Settings, *, emit: Emit, registry: CollectorRegistry) -> int:
    """Run until SIGTERM, SIGINT or a failure of the disk, and return the exit code. SIGHUP reloads.

    A SIGTERM before it is ready ends the start, as cleanly: requests may be accepted by then, and its relay registered.
    """
    if starting := asyncio.current_task():
        _on_stop(lambda: _end_start(starting))
    try:
        return await _serve(settings, emit=emit, registry=registry)
    except asyncio.CancelledError:
        emit(Notice(level="info", text="stopped", fields={"exit_code": 0}))
        return 0


async def _serve(settings: Settings, *, emit: Emit, registry: CollectorRegistry) -> int:
    loop = asyncio.get_running_loop()
    async with running(settings, emit=emit, registry=registry) as relay:
        _on_stop(lambda: _end(relay))
        loop.add_signal_handler(signal.SIGHUP, relay.reloader.reload_soon)
        if said := relay.store.doubts():
            fields: dict[str, object] = {"store": str(settings.store), "detail": said}
            emit(Notice(level="warning", text="the store may not last", fields=fields))
        _tune_garbage_collector()
        emit(Notice(level="info", text="ready", fields=_summary(relay)))
        notify("READY=1", settings.environment)
        await relay.ended.wait()
        notify("STOPPING=1", settings.environment)
        loop.call_later(STOP_LIMIT, os._exit, 1)  # a disk that hangs would hang the stop
        emit(Notice(level="info", text="stopping", fields={"exit_code": relay.exit_code}))
    emit(Notice(level="info", text="stopped", fields={"exit_code": relay.exit_code}))
    return relay.exit_code


def _tune_garbage_collector() -> None:
    """Collect less often: cycles are rare here, and a collection costs more the more webhooks are in memory."""
    gc.collect()
    gc.freeze()  # objects of the start live as long as the process
    gc.set_threshold(*GC_THRESHOLDS)


def _on_stop(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _end_start(starting: asyncio.Task[object]) -> None:
    """Cancel a start; a second signal ends the process at once.

    `starting.cancelling()` cannot say which signal is the second: a timeout that has just expired counts there, too.
    """
    _on_stop(lambda: os._exit(1))
    asyncio.get_running_loop().call_later(STOP_LIMIT, os._exit, 1)
    starting.cancel()


def _end(relay: Relay) -> None:
    """Stop at the first SIGTERM or SIGINT, exit at once at the second; neither loses anything."""
    if relay.ended.is_set():
        os._exit(1)
    relay.end()


def _summary(relay: Relay) -> dict[str, object]:
    public = url(relay.listening, scheme="https" if relay.settings.tls else "http")
    hooks = [f"{public}/hooks/{name}/<token>" for name in relay.reloader.config.sources]
    return {
        "version": __version__,
        "pid": os.getpid(),
        "hooks": " ".join(hooks),
        "metrics": f"{url(relay.admin_listening)}/metrics",
        "routes": str(relay.settings.config),
        "store": str(relay.settings.store),
    }
