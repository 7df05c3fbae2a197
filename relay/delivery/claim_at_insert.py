"""Webhooks -> the store, with as many deliveries claimed at insert as their lanes have room for.

A delivery that is claimed at insert goes to its lane in memory; the store need not be read for it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from relay.delivery.dispatcher import Dispatcher
from relay.store.contract import IngestStore
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest

OnReplies: TypeAlias = Callable[[Sequence[KeepResult | Exception]], object]


class ClaimAtInsert:
    """`IngestStore.keep_many` for intake, which knows nothing of claims. Lives in the dispatcher's event loop."""

    def __init__(self, store: IngestStore, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher

    def keep_many(self, requests: Sequence[KeepRequest], on_replies: OnReplies) -> None:
        """See `store.contract.IngestStore.keep_many`. Claimed deliveries are with their lanes before `on_replies`."""
        leased: list[KeepRequest] = []
        try:
            for webhook, routed, now, windows, hooks in requests:
                leased.append(KeepRequest(webhook, self._dispatcher.lease(routed), now, windows, hooks))
            self._store.keep_many(leased, partial(self._on_replies, leased, on_replies))
        except BaseException:
            self._unreserve(leased)
            raise

    def _on_replies(
        self, leased: Sequence[KeepRequest], on_replies: OnReplies, replies: Sequence[KeepResult | Exception]
    ) -> None:
        try:
            self._unreserve(leased)
            self._dispatcher.admit([each for claimed in replies if isinstance(claimed, list) for each in claimed])
        finally:
            on_replies(replies)

    def _unreserve(self, leased: Sequence[KeepRequest]) -> None:
        self._dispatcher.unreserve([event for each in leased for event in each.routed])
