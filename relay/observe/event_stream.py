"""Signals -> documents for whoever watches just now, event by event and attempt by attempt; `relay tail` shows them.

Nothing is made while nobody watches. Who reads too slowly misses some and is told how many: the relay does not wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import orjson

from relay.model import Dead, Delivered, Delivery, Json, RetryAt, entity_id
from relay.rfc3339 import rfc3339
from relay.signals import Attempted, DuplicateReceived, Probed, Rejection, Signal, WebhookRejected, WebhookStored

MAX_BEHIND = 1_000  # documents that a follower may be late by

Document = dict[str, Json]


class EventStream:
    """What happens, for those who follow. Lives in one event loop; what other threads announce is not told."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._followers: set[Follower] = set()

    def __call__(self, signal: Signal) -> None:
        """Tell everybody who follows."""
        if not self._followers:
            return
        try:
            found = _documents(signal)
        except Exception as error:  # noqa: BLE001  to be watched must break no stage
            found = [{"what": "fault", "detail": repr(error)}]
        if not found:
            return  # also whatever another thread announces
        at = {"at": rfc3339(self._clock())}
        for follower in tuple(self._followers):
            follower.tell([at | each for each in found])

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._followers)

    @contextmanager
    def following(self) -> "Iterator[Follower]":
        """Follow for as long as the block lasts."""
        follower = Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def end(self) -> None:
        """Let everybody who follows go."""
        for follower in self._followers:
            follower.end()


class Follower:
    """One who watches."""

    def __init__(self) -> None:
        self._waiting: deque[Document] = deque()
        self._missed = 0
        self._ended = False
        self._news = asyncio.Event()

    def tell(self, documents: Sequence[Document]) -> None:
        """Have them waiting, as far as there is room."""
        room = documents[: MAX_BEHIND - len(self._waiting)]
        self._waiting.extend(room)
        self._missed += len(documents) - len(room)
        self._news.set()

    def end(self) -> None:
        """`news` is empty once what waits has been taken."""
        self._ended = True
        self._news.set()

    async def news(self) -> list[Document]:
        """What has happened since the last call, at least one document; none at the end."""
        while not (self._waiting or self._ended):
            self._news.clear()
            await self._news.wait()
        taken = [*self._waiting]
        if self._missed:
            taken.append({"at": taken[-1]["at"], "what": "missed", "number": self._missed})
        self._waiting.clear()
        self._missed = 0
        return taken


def _documents(signal: Signal) -> list[Document]:
    match signal:
        case WebhookStored(webhook=webhook) if webhook.unparsed is not None:
            return [{"what": "unparsed", "source": webhook.source, "webhook": webhook.id, "unparsed": webhook.unparsed}]
        case WebhookStored():
            return _events(signal)
        case DuplicateReceived(webhook=webhook, first=first):
            return [{"what": "duplicate", "source": webhook.source, "webhook": first}]
        case Probed(source=source, remote=remote):
            return [{"what": "probe", "source": source, "remote": remote}]
        case WebhookRejected(reason=Rejection.STRANGER):
            return []
        case WebhookRejected():
            return [_refused(signal)]
        case Attempted():
            return [_attempt(signal)]
        case _:
            return []


def _refused(refused: WebhookRejected) -> Document:
    said: Document = {
        "what": "refused",
        "source": refused.source,
        "outcome": refused.reason,
        "remote": refused.remote,
        "detail": refused.detail,
    }
    return said | {"address": refused.address} if refused.address else said


def _events(kept: WebhookStored) -> list[Document]:
    return [
        {
            "what": "event",
            "source": kept.webhook.source,
            "webhook": kept.webhook.id,
            "event": each.event.id,
            "type": each.event.type,
            "entity_id": each.event.entity_id,
            "routes": list(each.routes),
        }
        for each in kept.routed
    ]


def _attempt(attempted: Attempted) -> Document:
    delivery, outcome = attempted.delivery, attempted.outcome
    return {
        "what": "attempt",
        "target": delivery.target,
        "event": delivery.event_id,
        **_about(delivery),
        "attempt": delivery.attempt,
        "replay": delivery.replay,
        "reason": outcome.reason,
        "status": outcome.status,
        "took": outcome.took.total_seconds(),
        "detail": outcome.detail,
        **_followed(attempted),
    }


def _about(delivery: Delivery) -> Document:
    """Its JSON tells, unless that is damaged."""
    if delivery.corrupt:
        return {"type": "", "entity_id": ""}
    if delivery.raw:
        return {"type": "unparsed", "entity_id": ""}
    event = orjson.loads(delivery.payload)
    return {"type": event["type"], "entity_id": entity_id(event["action"], event["data"])}


def _followed(attempted: Attempted) -> Document:
    verdict: Document = {"verdict": attempted.verdict.name.value}
    match attempted.verdict:
        case Delivered():
            return verdict
        case RetryAt(due_at):
            return verdict | {"due_at": rfc3339(due_at)}
        case Dead(why):
            return verdict | {"why": why}
