"""Signals -> documents for whoever follows just now; `relay tail` shows them.

Nothing is made while nobody follows. A slow follower misses documents and gets their number: the relay never waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from relay.model import Json
from relay.rfc3339 import rfc3339
from relay.signals import Signal

MAX_BEHIND = 1_000  # documents that a follower may lag behind

Document = dict[str, Json]


class EventStream:
    """Every signal of one event loop, as documents, for the followers there are.

    `documents` makes them of a signal: none for one that is not shown, and for those of other threads.
    """

    def __init__(self, clock: Callable[[], datetime], documents: Callable[[Signal], list[Document]]) -> None:
        self._clock = clock
        self._documents = documents
        self._followers: set[Follower] = set()

    def __call__(self, signal: Signal) -> None:
        """Append its documents for every follower."""
        if not self._followers:
            return
        try:
            found = self._documents(signal)
        except Exception as error:  # noqa: BLE001  a follower must not break a stage
            found = [{"what": "fault", "detail": repr(error)}]
        if not found:
            return
        at = {"at": rfc3339(self._clock())}
        for follower in tuple(self._followers):
            follower.append([at | each for each in found])

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
        """End every follower."""
        for follower in self._followers:
            follower.end()


class Follower:
    """One reader of the stream."""

    def __init__(self) -> None:
        self._waiting: deque[Document] = deque()
        self._missed = 0
        self._ended = False
        self._news = asyncio.Event()

    def append(self, documents: Sequence[Document]) -> None:
        """Keep them for `news`, at most `MAX_BEHIND`; count the rest as missed."""
        room = documents[: MAX_BEHIND - len(self._waiting)]
        self._waiting.extend(room)
        self._missed += len(documents) - len(room)
        self._news.set()

    def end(self) -> None:
        """Let `news` return nothing once the rest has been taken."""
        self._ended = True
        self._news.set()

    async def news(self) -> list[Document]:
        """Wait for documents; those since the last call, none at the end."""
        while not (self._waiting or self._ended):
            self._news.clear()
            await self._news.wait()
        taken = [*self._waiting]
        if self._missed:
            taken.append({"at": taken[-1]["at"], "what": "missed", "number": self._missed})
        self._waiting.clear()
        self._missed = 0
        return taken
