"""Bodies -> webhooks with their events and planned deliveries -> the committer.

Under load many requests arrive in one turn of the event loop. Their bodies are decoded together at the end of that
turn, one right after the other: with warm caches each takes the processor a third less time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from relay.amocrm.change_times import all_dated
from relay.amocrm.shapes import BodyReader
from relay.errors import UnreadableError
from relay.ingest.answers import Reject
from relay.ingest.budget import LARGE, PER_EVENT, BudgetExceeded
from relay.ingest.commit import COMMIT_TIMEOUT, Committer
from relay.ingest.pending import AwaitedWebhook, PendingWebhook
from relay.model import Event, HealMode, RoutedEvent, Source, Webhook
from relay.model.heal import Hook
from relay.routes.config import Config
from relay.routes.plan import plan, plan_raw
from relay.signals import DecodeFailed, Emit, HooksNotIndexed, RawRoutingFailed, Rejection
from relay.store.records import KeepResult

MAX_PER_TURN = 32  # webhooks decoded in one turn; then they go to the disk, and other callbacks have their turn
RETRANSMISSIONS = timedelta(hours=3)  # amoCRM repeats a webhook that was not answered for up to 95 minutes


HooksOf: TypeAlias = Callable[[Webhook, Sequence[Event], Config], Sequence[Hook]]
"""A webhook and its events -> its hooks, see `account.heal.indexing`."""


class Decoder:
    """Decodes webhooks and plans their deliveries by the configuration that `config()` returns at that moment.

    `hooks_of` is asked about webhooks whose source heals.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        config: Callable[[], Config],
        emit: Emit,
        new_id: Callable[[], str],
        hooks_of: HooksOf = lambda _webhook, _events, _config: (),
    ) -> None:
        self._committer = committer
        self._config = config
        self._emit = emit
        self._new_id = new_id
        self._hooks_of = hooks_of
        self._bodies = BodyReader()
        self._loop = asyncio.get_running_loop()
        self._arrived: list[PendingWebhook] = []
        self._large = asyncio.Lock()

    def submit(self, pending: PendingWebhook) -> None:
        """Decode a webhook that is not large, and commit it; its reservation is handed over."""
        if not self._arrived:
            self._loop.call_soon(self._submit_arrived)
        self._arrived.append(pending)

    async def store(self, pending: AwaitedWebhook) -> KeepResult:
        """Decode a webhook and wait for its commit; its reservation is handed over.

        Raises Reject, BudgetExceeded, or a StoreError if it is not committed in time.
        """
        try:
            if len(pending.webhook.body) > LARGE:
                return await self._store_large(pending)
            pending.reservation.hand_over()
            self.submit(pending)
            return await pending.stored
        except asyncio.CancelledError:
            pending.answered = True  # its client has gone
            raise

    # ---- small ones, together

    def _submit_arrived(self) -> None:
        """Decode all that arrived in this turn of the loop, up to `MAX_PER_TURN`, then commit them."""
        batch = self._arrived[:MAX_PER_TURN]
        del self._arrived[:MAX_PER_TURN]
        if self._arrived:
            self._loop.call_soon(self._submit_arrived)
        config = self._config()  # a reload may have come before the body
        if ready := [each for each in batch if self._prepare(each, config)]:
            self._committer.commit(ready)

    def _prepare(self, pending: PendingWebhook, config: Config) -> bool:
        """Decode one; False if it cannot be committed, and is answered."""
        try:
            self._accept(pending, *self._decode(pending.webhook, config), config)
        except Exception as error:  # noqa: BLE001  Reject, BudgetExceeded, or a fault over one: not the others'
            pending.reservation.release()
            pending.conclude(error.with_traceback(None))  # whose frames hold `pending`: a reference cycle
            return False
        return True

    # ---- large ones, one by one

    async def _store_large(self, pending: AwaitedWebhook) -> KeepResult:
        async with self._turn_of_large():
            config = self._config()
            try:  # in a thread: the event loop has other requests to answer
                decoded = await asyncio.to_thread(self._decode, pending.webhook, config)
            except Exception as error:  # noqa: BLE001  no thread could be started: `_decode` itself raises nothing
                decoded = self._faulty(pending.webhook, error, config)
            self._accept(pending, *decoded, config)
            pending.reservation.hand_over()
            self._committer.commit([pending])
            return await pending.stored

    @asynccontextmanager
    async def _turn_of_large(self) -> AsyncIterator[None]:
        """Let one large webhook at a time in, until its commit: each takes much memory. BudgetExceeded on time-out."""
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await self._large.acquire()
        except TimeoutError:
            raise BudgetExceeded from None
        try:
            yield
        finally:
            self._large.release()

    # ---- each

    def _decode(self, webhook: Webhook, config: Config) -> tuple[Webhook, Sequence[RoutedEvent]]:
        """Return the webhook with its planned deliveries; or, whatever goes wrong, the webhook as unparsed."""
        try:
            return webhook, [plan(event, config) for event in self._events(webhook)]
        except UnreadableError as error:
            return self._unparsed(webhook, str(error), config)
        except Exception as error:  # noqa: BLE001  see `_faulty`
            return self._faulty(webhook, error, config)

    def _events(self, webhook: Webhook) -> list[Event]:
        return self._bodies.read(
            webhook.body,
            webhook.content_type,
            source=webhook.source,
            received_at=webhook.received_at,
            new_id=self._new_id,
            query=webhook.query,
        )

    def _faulty(self, webhook: Webhook, error: Exception, config: Config) -> tuple[Webhook, Sequence[RoutedEvent]]:
        """Return the webhook as unparsed: a fault of ours must not lose what amoCRM sends only once."""
        self._emit(DecodeFailed(webhook=webhook.id, error=repr(error)))
        return self._unparsed(webhook, f"a fault of the relay: {error!r}", config)

    def _unparsed(self, webhook: Webhook, reason: str, config: Config) -> tuple[Webhook, Sequence[RoutedEvent]]:
        """Return the unparsed webhook with its raw deliveries; without them if a fault of ours prevents it."""
        webhook = replace(webhook, unparsed=reason)
        try:
            return webhook, plan_raw(webhook, config, new_id=self._new_id)
        except Exception as error:  # noqa: BLE001  as above
            self._emit(RawRoutingFailed(webhook=webhook.id, error=repr(error)))
            return webhook, []

    def _accept(self, pending: PendingWebhook, webhook: Webhook, routed: Sequence[RoutedEvent], config: Config) -> None:
        """Make it ready to commit. Raises Reject, or BudgetExceeded: what events take is known only now."""
        retransmission = None
        try:
            pending.reservation.grow((PER_EVENT + len(webhook.query)) * len(routed))
            if webhook.unparsed is None:
                _demand_account(pending.source, routed)
            if all_dated([each.event for each in routed]):
                retransmission = RETRANSMISSIONS
        except (Reject, BudgetExceeded):
            raise
        except Exception as error:  # noqa: BLE001  see `_faulty`
            webhook, routed = self._faulty(webhook, error, config)
        pending.webhook, pending.routed, pending.retransmission = webhook, routed, retransmission
        if pending.source.heal.mode is not HealMode.OFF and webhook.unparsed is None:
            pending.hooks = self._hooks(webhook, routed, config)

    def _hooks(self, webhook: Webhook, routed: Sequence[RoutedEvent], config: Config) -> Sequence[Hook]:
        """Return none if a fault of ours prevents it: its events may then be healed, and come twice."""
        try:
            return self._hooks_of(webhook, [each.event for each in routed], config)
        except Exception as error:  # noqa: BLE001  as above
            self._emit(HooksNotIndexed(webhook=webhook.id, error=repr(error)))
            return ()


def _demand_account(source: Source, routed: Sequence[RoutedEvent]) -> None:
    """Reject an account that the source does not accept. All events of a body are of one account."""
    if routed and (why := source.refusal(routed[0].event.account)):
        raise Reject(403, Rejection.ACCOUNT, why)
