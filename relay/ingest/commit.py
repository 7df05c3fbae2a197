"""Decoded webhooks -> committed: at once, or later if the store is busy.

A webhook that the store cannot take yet is retried until it is stored, also after its 503: amoCRM may never send it
again, and if it does, the store recognises the duplicate. Until then it is in memory only, within the budget.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from time import perf_counter
from typing import NamedTuple, Protocol

from relay.errors import StoreBusy, StoreError
from relay.ingest.pending import PendingWebhook
from relay.model import RoutedEvent, Webhook
from relay.model.heal import Hook
from relay.signals import Emit, EventsNotStored, NotStored, StoredLate
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest, Windows

COMMIT_TIMEOUT = 1.5  # seconds until the 503; amoCRM waits 2 s for an answer
RETRY_EVERY = 0.1  # seconds between retries while the store is busy, each of which may wait for its lock for a second
MAX_AT_ONCE = 64  # webhooks that are retried together once the store takes some again


class WebhookStore(Protocol):
    """The store as retries need it: one verb of `store.contract.IngestStore`."""

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None,
        window: timedelta | None,
        dated: timedelta | None,
        hooks: Sequence[Hook],
    ) -> Future[KeepResult]:
        """See `store.contract.IngestStore.keep`."""
        ...


class ClaimingStore(Protocol):
    """What claims deliveries at insert: `delivery.claim_at_insert.ClaimAtInsert`."""

    def keep_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        """See `store.contract.IngestStore.keep_many`."""
        ...


class Committer:
    """Commits webhooks in their order of arrival.

    The first try goes to `claiming`, which claims deliveries at insert; retries go to `store` alone, because a lease
    that was given before the wait might be over after it. Deliveries are due when their webhook arrived, or at once if
    `clock` was set back since.
    """

    def __init__(
        self, store: WebhookStore, *, claiming: ClaimingStore, emit: Emit, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._claiming = claiming
        self._emit = emit
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._unanswered: deque[_Batch] = deque()  # all have the same timeout: the first is the next
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, PendingWebhook] = {}  # for the store, in their order of arrival
        self._trouble = ""  # why the store is busy
        self._retrying: asyncio.Task[None] | None = None
        self._stopping = False
        self._late = 0
        self._recovered = 0

    def commit(self, batch: Sequence[PendingWebhook]) -> None:
        """Store the webhooks and conclude each; as unparsed if a fault of ours allows no more. Their reservations are
        released once the store has replied.

        After `COMMIT_TIMEOUT` the result is a StoreError; the webhook keeps its reservation, and is retried.
        """
        began = perf_counter()
        for pending in batch:
            pending.commit_began = began
        self._watch_deadline(_Batch(self._loop.time() + COMMIT_TIMEOUT, batch))
        if not self._waiting:
            self._insert(batch)
            return
        for pending in batch:
            self._wait(pending)  # behind those that came before

    async def stop(self, limit: timedelta) -> None:
        """Retry waiting webhooks one last time; announce how many were dropped. All of them were answered 503."""
        self._stopping = True
        if self._retrying:
            self._retrying.cancel()
        if self._waiting:
            await asyncio.wait(
                [self._retry_one(each) for each in self._waiting.values()], timeout=limit.total_seconds()
            )
        if dropped := len(self._waiting):
            self._emit(NotStored(webhooks=dropped))

    # ---- deadlines: one timer for all

    def _watch_deadline(self, batch: "_Batch") -> None:
        self._drop_answered()
        self._unanswered.append(batch)
        if self._timer is None:
            self._timer = self._loop.call_at(self._unanswered[0].deadline, self._on_deadline)

    def _drop_answered(self) -> None:
        while self._unanswered and all(each.answered for each in self._unanswered[0].webhooks):
            self._unanswered.popleft()

    def _on_deadline(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._unanswered and self._unanswered[0].deadline <= now:
            for pending in self._unanswered.popleft().webhooks:
                self._time_out(pending)
        self._drop_answered()
        if self._unanswered:
            self._timer = self._loop.call_at(self._unanswered[0].deadline, self._on_deadline)

    def _time_out(self, pending: PendingWebhook) -> None:
        if pending.answered:
            return
        pending.late = True
        self._late += 1
        why = f": {self._trouble}" if self._waiting else ""
        pending.conclude(StoreBusy(f"not committed within {COMMIT_TIMEOUT} s{why}"))

    # ---- inserts and retries

    def _insert(self, batch: Sequence[PendingWebhook]) -> None:
        try:
            now = self._clock()
            requests = [
                KeepRequest(
                    each.webhook,
                    each.routed,
                    now if now < each.webhook.received_at else None,
                    Windows(each.source.dedupe, each.retransmission),
                    each.hooks,
                )
                for each in batch
            ]
            self._claiming.keep_many(requests, partial(self._on_replies, batch))
        except Exception as error:  # noqa: BLE001  a fault of ours over claims, or over one webhook, loses none
            self._loop.call_exception_handler({"message": "claim at insert", "exception": error})
            for each in batch:
                self._retry_one(each)

    def _retry_one(self, pending: PendingWebhook) -> Future[KeepResult]:
        try:
            now = self._clock()
            reply = self._store.keep(
                pending.webhook,
                pending.routed,
                now=now if now < pending.webhook.received_at else None,
                window=pending.source.dedupe,
                dated=pending.retransmission,
                hooks=pending.hooks,
            )
        except Exception as error:  # noqa: BLE001  as if the store had replied it
            reply = self._loop.create_future()
            reply.set_exception(error)
        reply.add_done_callback(partial(self._on_retried, pending, pending.stripped))  # also if its client has gone
        return reply

    def _on_replies(self, batch: Sequence[PendingWebhook], replies: Sequence[KeepResult | Exception]) -> None:
        for pending, reply in zip(batch, replies, strict=True):
            try:
                self._on_reply(pending, reply, stripped=False)
            except Exception as error:  # noqa: BLE001  a fault over one webhook is not the others'
                self._loop.call_exception_handler({"message": "a reply to a webhook", "exception": error})
        self._drop_answered()

    def _on_retried(self, pending: PendingWebhook, stripped: bool, reply: Future[KeepResult]) -> None:
        error = reply.exception()
        self._on_reply(pending, error if isinstance(error, Exception) else reply.result(), stripped=stripped)

    def _on_reply(self, pending: PendingWebhook, reply: KeepResult | Exception, *, stripped: bool) -> None:
        """`stripped`: it was when the store was called."""
        if pending.settled:
            return
        if not isinstance(reply, Exception):
            self._settle(pending, recovered=pending.late)
            pending.conclude(reply)
        elif isinstance(reply, StoreBusy):
            self._trouble = str(reply)
            self._wait(pending)
        elif isinstance(reply, StoreError) or stripped:
            self._settle(pending, recovered=False)
            pending.conclude(_as_store_error(reply))
        elif not pending.stripped:  # else it is being retried without events already
            self._strip(pending, reply)

    def _strip(self, pending: PendingWebhook, error: Exception) -> None:
        """Retry without events, as unparsed: a fault of ours must not lose what amoCRM sends only once."""
        pending.stripped = True
        pending.webhook = replace(pending.webhook, unparsed=f"a fault of the relay: {error!r}")
        pending.routed, pending.hooks = [], ()
        self._retry_one(pending)
        self._emit(EventsNotStored(webhook=pending.webhook.id, error=repr(error)))

    def _wait(self, pending: PendingWebhook) -> None:
        """Queue for a retry; one that is queued keeps its place."""
        self._waiting[pending.webhook.id] = pending
        if not self._stopping and (self._retrying is None or self._retrying.done()):
            self._retrying = self._loop.create_task(self._retry())

    async def _retry(self) -> None:
        """Retry the first; once it is stored, twice as many at a time."""
        at_once = 1
        while self._waiting:
            replies = [self._retry_one(each) for each in islice(self._waiting.values(), at_once)]
            await asyncio.wait(replies)
            if any(isinstance(each.exception(), StoreBusy) for each in replies):
                at_once = 1
                await asyncio.sleep(RETRY_EVERY)  # `stop` cancels it
            else:
                at_once = min(2 * at_once, MAX_AT_ONCE)

    def _settle(self, pending: PendingWebhook, *, recovered: bool) -> None:
        pending.settled = True
        pending.reservation.release()
        if self._waiting:
            self._waiting.pop(pending.webhook.id, None)
        if self._late:
            self._late -= pending.late
            self._recovered += recovered
            if self._recovered and not self._late:
                self._emit(StoredLate(webhooks=self._recovered))
                self._recovered = 0


class _Batch(NamedTuple):
    """Webhooks that are committed together, and when to answer 503 to them, in loop time."""

    deadline: float
    webhooks: Sequence[PendingWebhook]


def _as_store_error(error: Exception) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(repr(error))
