"""Work to be done -> tasks that do it side by side, no more than a number that may change."""

import asyncio
from asyncio import Future
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable


class WorkerPool:
    """At most `most()` of them: each makes one `attempt()` after the other, and rests once that found nothing to do.

    To rouse one takes a third of the time of a new task. `begin` is given each new one. They work for one place: those
    that are at work for another one are not counted, and end once their attempt has.
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
        self._place: Hashable = None
        self._numbers: Counter[Hashable] = Counter()  # by place
        self._resting: list[Future[None]] = []  # all of them of this place

    def call(self, wanted: int) -> None:
        """So many are needed, if they can be had."""
        for _ in range(wanted):
            if self._resting:
                self._resting.pop().set_result(None)
            elif self._numbers[self._place] < self._most():
                self._numbers[self._place] += 1
                self._begin(self._work(self._place))
            else:
                break

    def recount(self) -> None:
        """`most()` has changed: of those that rest, some may have to end."""
        self.call(len(self._resting))

    def move(self, place: Hashable) -> None:
        """From now on they work for this place; there may be some at work for it, if it was the place before."""
        if place != self._place:
            self.recount()
            self._place = place

    async def _work(self, place: Hashable) -> None:
        try:
            while self._needed(place):
                if await self._attempt():
                    continue
                if not self._needed(place):
                    break
                rested: Future[None] = asyncio.get_running_loop().create_future()
                self._resting.append(rested)  # no await since nothing was found, or `call` could miss that we rest
                await rested
        finally:
            self._numbers[place] -= 1
            if not self._numbers[place]:
                del self._numbers[place]

    def _needed(self, place: Hashable) -> bool:
        return place == self._place and self._numbers[place] <= self._most()
