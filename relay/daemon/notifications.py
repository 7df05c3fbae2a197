"""The daemon's notifications, if the routes ask for any: `relay.notify` is imported only then.

Signals of a start that come before the store is open are held until they can be taken.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.model import Json
from relay.routes.config import Config
from relay.signals import Signal

if TYPE_CHECKING:
    from relay.notify.notifier import Notifier, Surroundings


class Notifications:
    """Hand signals on to a notifier, from when routes ask for one on. `around` is asked once, when the store is open.

    `expected`: the routes of the start ask for it.
    """

    def __init__(self, around: "Callable[[], Surroundings]", *, expected: bool) -> None:
        self._around = around
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
            from relay.notify.notifier import Notifier

            self._notifier = Notifier(self._around(), config.notify)
            for signal in self._early:
                self._notifier(signal)
            self._there.set()
        self._early, self._expected = [], False

    def report(self) -> Json:
        """What is published beside the store for other relays and for the next process; None if nothing is."""
        return self._notifier.report() if self._notifier else None

    async def run(self) -> None:
        """Send what is due, for ever."""
        await self._there.wait()
        assert self._notifier is not None  # noqa: S101  `use` has set both
        await self._notifier.run()

    async def close(self) -> None:
        """Store what is not sent."""
        if self._notifier is not None:
            await self._notifier.close()
