"""A number that may change -> as many tasks as that which make attempts, side by side, while there are any to make."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine


class Workers:
    """At most `most()` of them, each making `attempt()` after `attempt()` until that finds nothing to do.

    Then it rests: to rouse a task takes a third of the time that a new one does. `begin` is given each new one.
    """

    def __init__(
        self,
        attempt: Callable[[], Awaitable[bool]],
        *,
        most: Callable[[], int],
        begin: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._attempt = attempt
        self._most = most
        self._begin = begin
        self._number = 0
        self._resting: list[Future[None]] = []

    def call(self, wanted: int) -> None:
        """So many are needed, if they can be had."""
        for _ in range(wanted):
            if self._resting:
                self._resting.pop().set_result(None)
            elif self._number < self._most():
                self._number += 1
                self._begin(self._work())
            else:
                break

    def dismiss(self) -> None:
        """Those that rest are to end if they are too many now."""
        self.call(len(self._resting))

    async def _work(self) -> None:
        try:
            while self._number <= self._most():
                if not await self._attempt():
                    await self._rest()  # no await since nothing was found, or `call` could miss that we do
        finally:
            self._number -= 1

    async def _rest(self) -> None:
        if self._most():
            rested: Future[None] = asyncio.get_running_loop().create_future()
            self._resting.append(rested)
            await rested
