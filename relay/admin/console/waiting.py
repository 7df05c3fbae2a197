"""The latest status -> the counts at the top of every page, from memory: no page waits for a count.

Each answer that has the status brings them. A page that was shown while they were old has them looked for behind it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from relay.admin.api.asking import Asking
from relay.errors import RelayError
from relay.operations.asker import Asker
from relay.operations.documents.overview import OverviewDocument
from relay.operations.documents.status import StatusDocument
from relay.operations.status import STATUS, Everything

FRESH, SHOWN = 5.0, 60.0
"""Seconds for which they are not looked for again, and for which they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Dead deliveries that are not dismissed, unparsed webhooks, events that no route took, acts under way here."""

    dead: int = 0
    unparsed: int = 0
    unrouted: int = 0
    acts: int = 0


class Waiting:
    """The counts that were seen last. `steady`: seconds that only grow."""

    def __init__(self, asking: Asking, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._asking = asking
        self._steady = steady
        self._seen = Counts()
        self._seen_at = -SHOWN
        self.generation = 0  # another one after each act
        self._task: asyncio.Task[None] | None = None

    def note(self, document: object, *, asked_in: int) -> None:
        """Take the counts out of a document that has them; they are old if there was an act after `asked_in`."""
        status = document.status if isinstance(document, OverviewDocument) else document
        if isinstance(status, StatusDocument):
            self._seen = Counts(
                dead=sum(each.dead for each in status.targets),
                unparsed=status.webhooks.unparsed,
                unrouted=status.webhooks.unrouted,
            )
            self._seen_at = self._steady() - (0 if asked_in == self.generation else FRESH)

    def counts(self) -> Counts:
        """What was seen last; nothing but the acts if that was long ago."""
        seen = self._seen if self._steady() - self._seen_at < SHOWN else Counts()
        return Counts(dead=seen.dead, unparsed=seen.unparsed, unrouted=seen.unrouted, acts=self._asking.under_way)

    @property
    def counts_are_old(self) -> bool:
        """Whether they are to be looked for again."""
        return self._steady() - self._seen_at >= FRESH

    def changed(self) -> None:
        """Have them looked for behind the next page: an act may have changed them."""
        self.generation += 1
        self._seen_at = min(self._seen_at, self._steady() - FRESH)

    def look(self, asker: Asker) -> asyncio.Task[None]:
        """Look for them again if they are old; no page waits for what is returned."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(asker))
        return self._task

    async def _look(self, asker: Asker) -> None:
        if self.counts_are_old:
            with suppress(RelayError):  # they grow older
                generation = self.generation
                status = await self._asking.ask(asker, STATUS, Everything())
                self.note(status, asked_in=generation)

    async def close(self, _app: web.Application) -> None:
        """End the look that is under way."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
