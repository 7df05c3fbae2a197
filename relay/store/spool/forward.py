"""Empty the spool into the shared store whenever it replies, then have intake bypass the spool.

ready: connected, registered ─▶ a new connection? keep the tail again ─▶ pages ─▶ the last one: hold, then direct
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from relay.errors import ConfigurationError, StoreBusy, StoreError
from relay.model import RoutedEvent
from relay.signals import Emit, SharedStoreUnfit, SpoolingEnded, TailKeptAgain
from relay.store.bare_events import whole
from relay.store.contract import SharedStore
from relay.store.requests import KeepRequest
from relay.store.spool.intake import Intake
from relay.store.spool.pages import Pages
from relay.store.spool.tail import Tail
from relay.store.sqlite.spool import SqliteSpool

AGAIN = 0.25  # seconds after the shared store was away
IDLE = 1.0  # seconds between two looks at the connection while intake is direct
PAGE = 128  # webhooks of the tail that are looked for at once


class Forwarder:
    """Lives in intake's event loop."""

    def __init__(self, shared: SharedStore, spool: SqliteSpool, intake: Intake, *, tail: Tail, emit: Emit) -> None:
        self._shared = shared
        self._spool = spool
        self._intake = intake
        self._tail = tail
        self._emit = emit
        self._pages = Pages(shared, spool, committed=tail.add, emit=emit)
        self._unfit = ""
        self.forwarding = False  # the shared store has committed the last page

    async def run(self) -> None:
        """Forward for ever; the caller cancels it."""
        while True:
            try:
                await self._look()
                await self._wait()
            except StoreBusy as error:
                self._intake.doubt(str(error))
                self.forwarding = False
                await asyncio.sleep(AGAIN)
            except (StoreError, ConfigurationError) as error:  # a spool that failed stops the relay by `failed`
                self.forwarding = False
                self._intake.doubt(str(error))
                self._report_unfit(error)
                await asyncio.sleep(AGAIN)

    async def _wait(self) -> None:
        if self._intake.direct:
            try:
                async with asyncio.timeout(IDLE):
                    await self._intake.spooling.wait()
            except TimeoutError:
                return

    async def _look(self) -> None:
        """Forward a page; after the last one, have intake bypass the spool."""
        self.publish()
        await self._shared.ready()
        self._unfit = ""
        if (connection := self._shared.connections) != self._pages.connection:
            if self._intake.direct:
                self._intake.doubt("a new connection to the shared store: it may lack webhooks")
            await self._keep_tail_again()
            self._pages.connection = connection
        if self._intake.direct:
            return
        with suppress(StoreBusy):  # a full disk under the spool must not keep webhooks out of the shared store
            await self._pages.hand_over()
        more = await self._pages.forward_page()
        self.forwarding = True
        if not more:
            await self._empty()

    async def _empty(self) -> None:
        """Forward the last page while new webhooks are held; if that was quick enough, intake is direct after it."""
        await self._shared.probe()  # webhooks are held only for a store that commits
        self._intake.hold()
        announced = self._intake.announced
        try:
            await self._intake.written()
            if await self._pages.forward_page():
                return
            await self._shared.probe()
            took = self._intake.go_direct(self._pages.connection)
        finally:
            self._intake.unhold()
        if took is not None:
            self.forwarding = False
            if announced or self._pages.forwarded:  # else a start, and the shared store was there
                self._emit(SpoolingEnded(why=self._intake.why, took=took, forwarded=self._pages.forwarded))
            self._pages.forwarded = 0
            self.publish()
            with suppress(StoreBusy):  # when it is empty the next time
                await self._spool.shrink()

    async def _keep_tail_again(self) -> None:
        """Keep what a fail-over has lost: webhooks of the tail that the present server lacks, in their order."""
        again = 0
        for page in self._tail.pages(PAGE):
            missing = await self._shared.missing([each.webhook.id for each in page])
            again += len(missing)
            await self._pages.keep([_unclaimed(each) for each in page if each.webhook.id in missing])
        if again:
            self._emit(TailKeptAgain(webhooks=again, of=len(self._tail)))
        self._tail.renew()

    def publish(self) -> None:
        """Report what the spool holds; what is set apart is in no other place either."""
        self._shared.publish_spool(self._spool.waiting + self._spool.refused, self._spool.oldest_at)

    def _report_unfit(self, error: Exception) -> None:
        if str(error) != self._unfit:
            self._unfit = str(error)
            self._emit(SharedStoreUnfit(error=self._unfit))


def _unclaimed(request: KeepRequest) -> KeepRequest:
    """Return the request with its whole events and without leases: nobody would send what is claimed at insert."""
    return request._replace(routed=[_unleased(whole(each)) for each in request.routed])


def _unleased(routed: RoutedEvent) -> RoutedEvent:
    return replace(routed, planned=tuple(replace(each, lease=None) for each in routed.planned))
