"""Routes that could not be resolved at a start -> what they missed, once they are: over restarts, and for ever.

Since when which routes are stopped is in a file beside the store, so that no restart forgets it.
"""

import asyncio
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from relay.errors import StoreBusy
from relay.operations.reroute import reroute_resumed
from relay.rfc3339 import rfc3339
from relay.routes.config import Config
from relay.signals import Emit
from relay.signals.account import NameOutdated, RoutesResumed, RouteStopped
from relay.store.contract import Archive

FILE = "relay-routes-stopped.json"
BEFORE = timedelta(minutes=1)  # a start takes webhooks before it has announced its routes
AGAIN = 5.0  # seconds after a store that was busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """These routes are stopped, or were and have not been resumed; the first of them `since` then."""

    since: datetime
    routes: frozenset[str]


class StoppedRoutes:
    """Announce routes that are stopped, and reroute what waited for them once they are not."""

    def __init__(self, folder: Path, store: Archive, *, emit: Emit, clock: Callable[[], datetime]) -> None:
        self._file = folder / FILE
        self._store = store
        self._emit = emit
        self._clock = clock
        self._known = _read(self._file)
        self._config: Config | None = None
        self._changed = asyncio.Event()
        self._remarks: frozenset[str] = frozenset()

    def use(self, config: Config) -> None:
        """Take over the routes that are in force now."""
        stopped = {route.name: route.stopped for route in config.routes if route.stopped}
        for name, why in stopped.items():
            self._emit(RouteStopped(route=name, why=why))
        remarks = frozenset(config.remark_lines())
        for detail in sorted(remarks - self._remarks):
            self._emit(NameOutdated(detail=detail))
        self._remarks = remarks
        if stopped:
            since = self._known.since if self._known else self._clock() - BEFORE
            before = self._known.routes if self._known else frozenset[str]()
            self._keep(Stopped(since=since, routes=before | stopped.keys()))
        self._config = config
        if self._known:
            self._changed.set()

    async def run(self) -> None:
        """Reroute, for ever, what waited for routes that are stopped no more."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while (config := self._config) and (known := self._known):
                resumed = known.routes - {route.name for route in config.routes if route.stopped}
                if not resumed:
                    break
                try:
                    await self._resume(config, known, resumed)
                except StoreBusy:
                    await asyncio.sleep(AGAIN)

    async def _resume(self, config: Config, known: Stopped, resumed: Collection[str]) -> None:
        now = self._clock()
        added = await reroute_resumed(self._store, config, resumed, since=known.since, by="relay", now=now)
        left = known.routes.difference(resumed)
        self._keep(Stopped(since=known.since, routes=left) if left else None)
        self._emit(RoutesResumed(routes=sorted(resumed), deliveries=added))

    def _keep(self, known: Stopped | None) -> None:
        """A file that cannot be written costs what a restart before the routes are resumed forgets."""
        self._known = known
        with suppress(OSError):
            if known is None:
                self._file.unlink(missing_ok=True)
                return
            content = orjson.dumps({"since": rfc3339(known.since), "routes": sorted(known.routes)})
            temporary = self._file.with_name(f"{FILE}.{os.getpid()}.tmp")
            temporary.write_bytes(content)
            temporary.replace(self._file)


def _read(file: Path) -> Stopped | None:
    try:
        found = orjson.loads(file.read_bytes())
        return Stopped(since=datetime.fromisoformat(found["since"]), routes=frozenset(found["routes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
