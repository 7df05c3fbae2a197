"""Probes of the store, and webhooks that it did not take -> whether one can be committed now, without asking it."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from relay.errors import StoreBusy, StoreError
from relay.ingest.commit import COMMIT_TIMEOUT
from relay.rfc3339 import rfc3339
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import MaintenanceStore
from relay.store.records import AckGap, SpoolState

PROBE_EVERY = 5.0  # seconds
RETRY_EVERY = 1.0  # while the probe fails
MIN_PAUSE = 0.1  # however many webhooks are rejected
NEARLY_FORWARDED = 1000  # webhooks
RECENT = timedelta(seconds=10)


class Readiness:
    """Know whether a webhook can be committed, to the store or to the spool before it.

    `lost`: at most so many webhooks that were answered 200 are missing.
    """

    def __init__(
        self,
        *,
        stopping: Callable[[], bool],
        clock: Callable[[], datetime],
        spool: Callable[[], SpoolState | None] = lambda: None,
    ) -> None:
        self.lost = 0
        self._stopping = stopping
        self._clock = clock
        self._spool = spool
        self._trouble: str | None = None
        self._probe_now = asyncio.Event()

    async def unready(self) -> str | None:
        """Return None if a webhook can be committed anywhere, else why not."""
        return "stopping" if self._stopping() else self._trouble

    async def store_unready(self) -> str | None:
        """Return None if one can be committed to the store itself, before or soon after it is answered; else why not.

        For a balancer that prefers such relays; it must not take the last one out for it.
        """
        if (why := await self.unready()) or (state := self._spool()) is None or state.direct:
            return why
        return None if self._nearly_forwarded(state) else _spooling(state)

    def remark(self) -> str | None:
        """Return a warning about a relay that is ready all the same."""
        state = self._spool()
        spooling = None if state is None or state.direct else _spooling(state)
        lost = f"webhooks that were answered 200 are missing, at most {self.lost}: relay verify" if self.lost else None
        refused = (
            f"PostgreSQL refuses {_webhooks(state.refused)}, set apart in the spool"
            if state and state.refused
            else None
        )
        return "; ".join(each for each in (spooling, refused, lost) if each) or None

    def on_rejected(self, rejected: WebhookRejected) -> None:
        """Not ready after a webhook that could not be stored, until the probe that it triggers has ended."""
        if rejected.reason is Rejection.UNAVAILABLE:
            self._trouble = rejected.detail
            self._probe_now.set()

    def update_losses(self, losses: Iterable[AckGap]) -> None:
        """Take over the gaps that the store reports."""
        self.lost = sum(loss.count for loss in losses)

    async def keep_probing(self, store: MaintenanceStore) -> None:
        """Commit a probe every few seconds, for ever: a failing disk shows before the next webhook arrives."""
        while True:
            self._probe_now.clear()
            self._trouble = await self._probe(store)
            await self._rest()

    async def _probe(self, store: MaintenanceStore) -> str | None:
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await store.probe()
            with suppress(StoreBusy, TimeoutError):  # a webhook can be committed all the same
                async with asyncio.timeout(COMMIT_TIMEOUT):
                    self.update_losses(await store.losses())
        except StoreError as error:
            return str(error)
        except TimeoutError:
            return f"the store did not commit within {COMMIT_TIMEOUT} s"
        return None

    async def _rest(self) -> None:
        if self._trouble:
            await asyncio.sleep(RETRY_EVERY)
            return
        await asyncio.sleep(MIN_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBE_EVERY):
                await self._probe_now.wait()

    def _nearly_forwarded(self, state: SpoolState) -> bool:
        age = self._clock() - state.oldest_at if state.oldest_at else timedelta()
        return state.forwarding and state.webhooks < NEARLY_FORWARDED and age < RECENT


def _spooling(state: SpoolState) -> str:
    webhooks = _webhooks(state.webhooks)
    if state.forwarding:
        return f"forwarding {webhooks}"
    return f"spooling since {rfc3339(state.since)} ({webhooks}): {state.why}"


def _webhooks(number: int) -> str:
    return f"{number} webhook{'' if number == 1 else 's'}"
