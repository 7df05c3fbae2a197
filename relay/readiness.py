"""Probes of the store, and webhooks that it did not take -> whether one can be committed now, without asking it."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from relay.errors import StoreError
from relay.ingest.commit import COMMIT_TIMEOUT
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import MaintenanceStore
from relay.store.records import AckGap

PROBE_EVERY = 5.0  # seconds
RETRY_EVERY = 1.0  # while the probe fails
MIN_PAUSE = 0.1  # however many webhooks are rejected


class Readiness:
    """Know whether the store commits. `lost`: at most so many webhooks that were answered 200 are missing."""

    def __init__(self, *, stopping: Callable[[], bool]) -> None:
        self.lost = 0
        self._stopping = stopping
        self._trouble: str | None = None
        self._probe_now = asyncio.Event()

    async def unready(self) -> str | None:
        """Return None if a webhook can be committed, else why not."""
        return "stopping" if self._stopping() else self._trouble

    def remark(self) -> str | None:
        """Return a warning about a relay that is ready all the same."""
        return f"webhooks that were answered 200 are missing, at most {self.lost}: relay verify" if self.lost else None

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
