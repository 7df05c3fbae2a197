"""Signals -> documents for the present followers; `relay tail` and `relay forward` show them.

Nothing is made while nobody follows. A slow follower misses documents and gets their number: the relay never waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeAlias

from relay.model import Json
from relay.rfc3339 import rfc3339
from relay.signals import Signal

GATHER = 0.02
"""Seconds in which documents gather: a webhook makes several; to append each for 64 followers would delay its 200."""
MAX_BEHIND = 1_000  # documents that a follower may lag behind
MAX_BYTES_BEHIND = 8 * 1024 * 1024
"""The sum of their `size`: of documents that carry an event, the bytes of it."""

Document = dict[str, Json]
Documents: TypeAlias = Callable[[Signal], list[Document]]


class EventStream:
    """Every signal of one event loop, as documents, for the followers there are.

    `documents` makes them of a signal: none for one that is not shown, and for those of other threads.
    """

    def __init__(self, clock: Callable[[], datetime], documents: Documents) -> None:
        self._clock = clock
        self._documents = documents
        self._followers: dict[Follower, Documents] = {}
        self._gathered: dict[Documents, list[Document]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, signal: Signal) -> None:
        """Have every follower get its documents, within `GATHER`."""
        for documents in dict.fromkeys(self._followers.values()):
            if found := self._made(documents, signal):
                self._gathered.setdefault(documents, []).extend(found)
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(GATHER, self._distribute)

    def _distribute(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, {}
        sizes = {documents: sum(each.get("size", 0) for each in found) for documents, found in gathered.items()}
        for follower, documents in self._followers.items():
            if found := gathered.get(documents):
                follower.append(found, sizes[documents])

    def _made(self, documents: Documents, signal: Signal) -> list[Document]:
        try:
            found = documents(signal)
        except Exception as error:  # noqa: BLE001  a follower must not break a stage
            found = [{"what": "fault", "detail": repr(error)}]
        if not found:
            return []
        at = {"at": rfc3339(self._clock())}
        return [at | each for each in found]

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._followers)

    @contextmanager
    def following(self, documents: Documents | None = None) -> "Iterator[Follower]":
        """Follow for as long as the block lasts; `documents`: other ones than the stream's."""
        self._distribute()  # what happened before is not for this one
        follower = Follower(lambda: self.followers)
        self._followers[follower] = documents or self._documents
        try:
            yield follower
        finally:
            self._followers.pop(follower)

    def end(self) -> None:
        """End every follower."""
        self._distribute()
        for follower in self._followers:
            follower.end()


class Follower:
    """One reader of the stream."""

    def __init__(self, among: Callable[[], int]) -> None:
        self.among = among
        """How many follow the stream."""
        self._waiting: deque[Document] = deque()
        self._bytes = 0  # the sizes of those
        self._missed: Document | None = None
        self._ended = False
        self._news = asyncio.Event()

    def append(self, documents: Sequence[Document], size: int) -> None:
        """Keep them, of that `size` in all, for `news`, at most `MAX_BEHIND` and `MAX_BYTES_BEHIND` of all that wait.

        The rest is counted as missed.
        """
        self._news.set()
        if len(self._waiting) + len(documents) <= MAX_BEHIND and self._bytes + size <= MAX_BYTES_BEHIND:
            self._waiting.extend(documents)
            self._bytes += size
            return
        for document in documents:
            its_size = document.get("size", 0)
            if len(self._waiting) < MAX_BEHIND and self._bytes + its_size <= MAX_BYTES_BEHIND:
                self._waiting.append(document)
                self._bytes += its_size
            else:
                self._miss(document)

    def _miss(self, document: Document) -> None:
        number = self._missed["number"] if self._missed else 0
        self._missed = {"at": document["at"], "what": "missed", "number": number + 1}

    def end(self) -> None:
        """Let `news` return nothing once the rest has been taken."""
        self._ended = True
        self._news.set()

    async def news(self) -> list[Document]:
        """Wait for documents; those since the last call, none at the end."""
        while not (self._waiting or self._missed or self._ended):
            self._news.clear()
            await self._news.wait()
        taken = [*self._waiting, *([self._missed] if self._missed else [])]
        self._waiting.clear()
        self._bytes, self._missed = 0, None
        return taken
