"""SQLite as a daemon calls it: every `keep` is a `keep_many`, every `settle` a `settle_many`."""

from asyncio import Future, get_running_loop
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from relay.model import Delivery, Outcome, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.signals import Emit
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.sqlite.store import SqliteStore
from tests.store.kind_sqlite import join, lose_answer, lose_webhooks

__all__ = ["join", "lose_answer", "lose_webhooks", "open_store", "replies_of", "take_over"]

W = TypeVar("W")
T = TypeVar("T")


def replies_of(
    call: Callable[[Sequence[W], Callable[[Sequence[T | Exception]], object]], None], what: Sequence[W]
) -> list["Future[T]"]:
    """Call a verb that takes many, and have a future for each reply."""
    replies: list[Future[T]] = [get_running_loop().create_future() for _ in what]

    def resolve(given: Sequence[T | Exception]) -> None:
        for future, reply in zip(replies, given, strict=True):
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    call(what, resolve)
    return replies


class ManyAtOnce(SqliteStore):
    """Its callers are those of a SqliteStore."""

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None = None,
        window: timedelta | None = None,
        dated: timedelta | None = None,
        hooks: Sequence[Hook] = (),
    ) -> "Future[KeepResult]":
        [reply] = replies_of(self.keep_many, [KeepRequest(webhook, routed, now, Windows(window, dated), hooks)])
        return reply

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> "Future[bool]":
        [reply] = replies_of(self.settle_many, [Settlement(delivery, outcome, verdict, now)])
        return reply


def open_store(folder: Path, now: datetime, emit: Emit = lambda _signal: None) -> ManyAtOnce:
    return ManyAtOnce.open(folder / "relay.db", now=now, emit=emit, failed=lambda: None)


def take_over(folder: Path, now: datetime) -> ManyAtOnce:
    (folder / "relay.db.lock").unlink()
    return open_store(folder, now)
