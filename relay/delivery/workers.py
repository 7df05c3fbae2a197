"""Work to be done -> tasks that do it side by side, no more than a number that may change."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine


class Workers:
    """At most `most()` of them: each makes one `attempt()` after the other, and rests once that found nothing to do.

    To rouse one takes a third of the time of a new task. `begin` is given each new one.
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

    def recount(self) -> None:
        """`most()` has changed: of those that rest, some may have to end."""
        self.call(len(self._resting))

    async def _work(self) -> None:
        try:
            while self._number <= self._most():
                if not await self._attempt() and self._number <= self._most():
                    await self._rest()  # no await since nothing was found, or `call` could miss that we do
        finally:
            self._number -= 1

    async def _rest(self) -> None:
        rested: Future[None] = asyncio.get_running_loop().create_future()
        self._resting.append(rested)
        await rested
