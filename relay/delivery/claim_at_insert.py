"""Webhooks -> the store, with as many deliveries claimed at insert as their lanes have room for.

A delivery that is claimed at insert goes to its lane in memory; the store need not be read for it.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from relay.delivery.dispatcher import Dispatcher
from relay.model import RoutedEvent, Webhook
from relay.store.contract import IngestStore
from relay.store.records import Duplicate, KeepResult


class ClaimAtInsert:
    """`Store.keep` for intake, which knows nothing of claims. Lives in the dispatcher's event loop."""

    def __init__(self, store: IngestStore, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        window: timedelta | None,
        dated: timedelta | None,
        on_reply: Callable[[Future[KeepResult]], object] = lambda _reply: None,
    ) -> Future[KeepResult]:
        """See `store.contract.IngestStore.keep`. Call `on_reply` once the claimed deliveries are with their lanes."""
        leased = self._dispatcher.lease(routed)
        try:
            reply = self._store.keep(webhook, leased, window=window, dated=dated)
        except BaseException:
            self._dispatcher.unlease(leased)
            raise
        reply.add_done_callback(partial(self._on_reply, leased, on_reply))
        return reply

    def _on_reply(
        self,
        leased: Sequence[RoutedEvent],
        on_reply: Callable[[Future[KeepResult]], object],
        reply: Future[KeepResult],
    ) -> None:
        try:
            self._dispatcher.unlease(leased)
            if reply.exception() is None and not isinstance(claimed := reply.result(), Duplicate):
                self._dispatcher.admit(claimed)
        finally:
            on_reply(reply)  # a second callback of the future would cost every webhook another handle of the loop
