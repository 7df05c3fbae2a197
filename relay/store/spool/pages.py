"""A page of the spool -> the shared store: the oldest webhooks, once by id, forgotten only after their commit.

Killed between a commit and its `forget`, the webhooks are known by id the next time.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.errors import StoreBusy, StoreError
from relay.signals import Emit, SpoolForwarded, SpoolRefused
from relay.store.contract import SharedStore
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite import spooled
from relay.store.sqlite.spool import SqliteSpool
from relay.store.sqlite.spooled import CORRUPT, OldWebhook

CLOCK_MOVED = 1.0  # seconds by which the shared clock's offset has to change to be remembered anew


class Pages:
    """Forwards by one intake connection, of number `connection`: a new one may need other webhooks first.

    `committed` is called with each webhook that the shared store has, before the spool forgets it. `forwarded` counts
    them. At most `most` webhooks are in a page: half as many after one that is not known to be committed, for it may
    take longer than a transaction is given.
    """

    def __init__(
        self, shared: SharedStore, spool: SqliteSpool, *, committed: Callable[[KeepRequest], object], emit: Emit
    ) -> None:
        self._shared = shared
        self._spool = spool
        self._committed = committed
        self._emit = emit
        self.connection = 0
        self.forwarded = 0
        self.most = spooled.MOST_WEBHOOKS

    async def forward_page(self) -> bool:
        """Forward the oldest webhooks; True if there were more."""
        page, more = await self._spool.oldest(min(self.most, spooled.MOST_WEBHOOKS))
        try:
            await self._forward_page(page)
        except StoreBusy:
            self.most = max(len(page) // 2, 1)
            raise
        self.most = min(self.most + self.most // 8 + 1, spooled.MOST_WEBHOOKS)
        return more

    async def _forward_page(self, page: Sequence[OldWebhook]) -> None:
        if self._shared.connections != self.connection:
            raise StoreBusy("a new connection to the shared store")
        asked = [(each.seq, each.request) for each in page if each.request is not None]
        replies = await self.keep([request for _seq, request in asked])
        refused = {each.seq: CORRUPT for each in page if each.request is None}
        for (seq, request), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Exception):
                refused[seq] = repr(reply)
            elif isinstance(reply, list):
                self._committed(request)
        await self._forget(page, refused)

    async def keep(self, requests: Sequence[KeepRequest]) -> Sequence[KeepResult | Exception]:
        """Keep webhooks, due now: their retry policies must not have ended while the shared store was away.

        One that is refused alone is kept without its events, as unparsed, for `relay reparse`. Returns an
        exception if that is refused as well; raises StoreBusy if anything is not known to be committed.
        """
        now = self._shared.clock()
        asked = [each._replace(now=now) for each in requests]
        replies = await self._forward(asked)
        for position, reply in enumerate(replies):
            if isinstance(reply, Exception):
                [replies[position]] = await self._forward([_unparsed(asked[position], reply)])
        return replies

    async def _forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult | Exception]:
        replies = await self._shared.forward(requests) if requests else []
        for reply in replies:
            if isinstance(reply, StoreError):
                raise StoreBusy(str(reply)) from reply
        return replies

    async def _forget(self, page: Sequence[OldWebhook], refused: dict[int, str]) -> None:
        if seqs := [each.seq for each in page if each.seq not in refused]:
            await self._spool.forget(seqs)
            self.forwarded += len(seqs)
            self._emit(SpoolForwarded(webhooks=len(seqs)))
        if not refused:
            return
        await self._spool.set_apart(refused)
        for each in page:
            if each.seq in refused:
                self._emit(SpoolRefused(webhook=each.id, error=refused[each.seq]))

    async def hand_over(self) -> None:
        """Have the shared store record losses, and the spool remember its clock."""
        if losses := await self._spool.losses():
            await self._shared.record_losses(losses)
            await self._spool.forget_losses()
        offset = self._shared.clock() - self._spool.clock()
        if abs((offset - self._spool.clock_offset).total_seconds()) > CLOCK_MOVED:
            await self._spool.remember_clock(offset)


def _unparsed(request: KeepRequest, error: Exception) -> KeepRequest:
    unparsed = request.webhook.unparsed or f"refused by the shared store: {error!r}"
    return request._replace(webhook=replace(request.webhook, unparsed=unparsed), routed=[])
