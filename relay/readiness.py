"""Probes of the store, and webhooks it did not take -> whether one can be committed now; known at once."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from relay.errors import StoreError
from relay.ingest.commit import COMMIT_TIMEOUT
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import AckGap, Store

PROBE_EVERY = 5.0  # seconds
PROBE_AGAIN = 1.0  # while it fails
LEAST_PAUSE = 0.1  # however many are refused


class Readiness:
    """`lost`: of the webhooks that were answered 200 so many are missing, at most."""

    def __init__(self, *, stopping: Callable[[], bool]) -> None:
        self.lost = 0
        self._stopping = stopping
        self._trouble: str | None = None
        self._doubted = asyncio.Event()

    async def ready(self) -> str | None:
        """None if a webhook can be committed, else why not."""
        return "stopping" if self._stopping() else self._trouble

    def remark(self) -> str | None:
        """What is to be said of a relay that is ready all the same."""
        return f"webhooks that were answered 200 are missing, at most {self.lost}: relay verify" if self.lost else None

    def hear(self, refused: WebhookRejected) -> None:
        """One that could not be kept is believed until the next probe, which comes at once: it may be the memory."""
        if refused.reason is Rejection.UNAVAILABLE:
            self._trouble = refused.detail
            self._doubted.set()

    def count(self, losses: Iterable[AckGap]) -> None:
        """What the store says of them."""
        self.lost = sum(loss.count for loss in losses)

    async def keep_probing(self, store: Store) -> None:
        """Commit something every now and then, for ever: a disk that went bad shows before the next webhook does."""
        while True:
            self._doubted.clear()
            self._trouble = await self._probe(store)
            await self._rest()

    async def _probe(self, store: Store) -> str | None:
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await store.probe()
                self.count(await store.losses())
        except StoreError as error:
            return str(error)
        except TimeoutError:
            return f"the store did not commit within {COMMIT_TIMEOUT} s"
        return None

    async def _rest(self) -> None:
        if self._trouble:
            await asyncio.sleep(PROBE_AGAIN)
            return
        await asyncio.sleep(LEAST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBE_EVERY):
                await self._doubted.wait()
