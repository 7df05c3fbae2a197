"""The daemon's notifications, if the routes ask for any: `relay.notify` is imported only then.

Signals of a start that come before the store is open are held until they can be taken.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.daemon.settings import Settings
from relay.http.client import Client
from relay.model import Json
from relay.model.notify import REPORT
from relay.routes.config import Config
from relay.signals import Emit, Signal
from relay.store.contract import OwnedStore

if TYPE_CHECKING:
    from relay.notify.notifier import Notifier


class Notifications:
    """Hand signals on to a notifier, from when routes ask for one on. `store` is called once it is open.

    `expected`: the routes of the start ask for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Callable[[], OwnedStore],
        emit: Emit,
        new_client: Callable[[], Client],
        expected: bool,
    ) -> None:
        self._settings = settings
        self._store = store
        self._emit = emit
        self._new_client = new_client
        self._early: list[Signal] = []
        self._expected = expected
        self._notifier: Notifier | None = None
        self._there = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        """Take a signal, from any thread."""
        if self._notifier is not None:
            self._notifier(signal)
        elif self._expected:
            self._early.append(signal)

    def use(self, config: Config) -> None:
        """Notify whom these routes name."""
        if self._notifier is not None:
            self._notifier.use(config.notify)
        elif config.notify:
            self._notifier = self._new_notifier(config)
            for signal in self._early:
                self._notifier(signal)
            self._there.set()
        self._early, self._expected = [], False

    def reports(self) -> dict[str, Callable[[], Json]]:
        """What is published for other relays and for the next process, by its name; None without a notifier."""
        return {f"{REPORT}{_own_name(self._store())}": lambda: self._notifier.report() if self._notifier else None}

    async def run(self) -> None:
        """Send what is due, for ever."""
        await self._there.wait()
        assert self._notifier is not None  # noqa: S101  `use` has set both
        await self._notifier.run()

    async def close(self) -> None:
        """Store what is not sent."""
        if self._notifier is not None:
            await self._notifier.close()

    def _new_notifier(self, config: Config) -> "Notifier":
        from relay.notify.notifier import Dependencies, Notifier

        store = self._store()
        given = Dependencies(
            store=store,
            relay=_own_name(store),
            host=socket.gethostname(),
            folder=self._settings.names,
            console=(self._settings.admin_url or "").rstrip("/"),
            emit=self._emit,
            clock=store.clock,
            new_client=self._new_client,
        )
        return Notifier(given, config.notify)


def _own_name(store: OwnedStore) -> str:
    """The name of this relay among those that share the store; empty if none do."""
    spool = store.spool()
    return spool.relay if spool else ""
