"""A shared store made of a SQLite file, on a server whose faults a test controls."""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from relay.errors import StoreBusy
from relay.model import Retention
from relay.store.erasure_contract import ErasureStore
from relay.store.records import AckGap, Due, KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite import spooled
from relay.store.sqlite.sql import rows
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON


@dataclass(eq=False)
class Call:
    """One transaction on the intake connection."""

    requests: Sequence[KeepRequest]
    done: Future[list[KeepResult | Exception]]
    writes: bool  # a row, whatever else there is to do
    sent: bool = True


class FakeShared:
    """Faults: `away` (no connection is made), `freeze` (nothing commits until `thaw`), `lose_answer` (the next commit
    is made, and its reply lost with the connection), `drop` (the connection ends; what is being committed may be
    committed later), `fail_over` (another server, which lacks the newest webhooks), `refused` (ids of webhooks that are
    refused alone), `refused_bare` (also without events), `most` (webhooks that are forwarded in time at once).
    """

    def __init__(self, folder: Path, *, inner: SqliteStore | None = None) -> None:
        self.inner = inner or SqliteStore.open(
            folder / "shared.db", now=NOON, emit=lambda _signal: None, failed=lambda: None
        )
        self.connections = 0
        self.connected = False
        self.away = False
        self.unfit: Exception | None = None
        self.refused: set[str] = set()
        self.refused_bare: set[str] = set()
        self.most = 1_000
        self.published: tuple[int, datetime | None] = (0, None)
        self.recorded_losses: list[AckGap] = []
        self.erasures: list[str] = []
        self.confirmed: list[str] = []
        self.answers_to_lose = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._queue: deque[Call] = deque()
        self._working: asyncio.Task[None] | None = None
        self._under_way: Call | None = None

    # ---- faults

    def freeze(self) -> None:
        self._gate.clear()

    def thaw(self) -> None:
        self._gate.set()

    def drop(self, *, sent: bool = True) -> None:
        """What is being committed is committed later, unless it was not even sent; what waits behind it is not."""
        self.connected = False
        if self._under_way:
            self._under_way.sent = sent
        busy = StoreBusy("the connection was lost")
        calls, self._queue = [*self._queue], deque()
        for call in ([self._under_way] if self._under_way else []) + calls:
            if not call.done.done():
                call.done.set_result([busy] * len(call.requests))

    async def fail_over(self, lost: int) -> None:
        """The server dies, and a standby that never saw the newest webhooks takes over."""
        self.drop()
        self.thaw()
        away, self.away = self.away, True
        if self._working:
            await self._working
        await self.inner._writer.submit(lambda cursor: _lose(cursor, lost))
        self.away = away

    # ---- what a spool needs

    @property
    def registered(self) -> bool:
        return self.connected

    async def ready(self) -> None:
        if self.unfit:
            raise self.unfit
        if self.connected:
            return
        if self.away or not self._gate.is_set():
            raise StoreBusy("PostgreSQL is away")
        self.connected = True
        self.connections += 1

    def keep_many(self, requests, on_replies) -> None:
        self._submit(requests, writes=False).add_done_callback(lambda done: on_replies(done.result()))

    async def forward(self, requests):
        if len(requests) > self.most:
            self.drop()
            raise StoreBusy("not committed in time")
        replies = await self._submit(requests, writes=True)
        if any(isinstance(each, StoreBusy) for each in replies):
            raise StoreBusy("the connection was lost")
        return replies

    async def probe(self) -> None:
        await self.forward([KeepRequest(None, [])])

    async def missing(self, ids) -> set[str]:
        await self.probe()
        return {each for each in ids if await self.inner.show(each) is None}

    @property
    def erasure(self) -> ErasureStore:
        return self.inner.erasure

    async def unconfirmed_erasures(self) -> list[str]:
        self._demand()
        return [each for each in self.erasures if each not in self.confirmed]

    async def confirm_erasures(self, acts) -> None:
        self.confirmed += acts

    async def record_losses(self, gaps) -> None:
        self.recorded_losses += gaps

    def publish_spool(self, webhooks: int, oldest_at: datetime | None) -> None:
        self.published = webhooks, oldest_at

    def _submit(self, requests, *, writes: bool) -> Future[list[KeepResult | Exception]]:
        call = Call(requests, asyncio.get_running_loop().create_future(), writes)
        if not self.connected:
            call.done.set_result([StoreBusy("there is no connection")] * len(requests))
            return call.done
        self._queue.append(call)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return call.done

    async def _work(self) -> None:
        while self._queue:
            self._under_way = call = self._queue.popleft()
            await self._gate.wait()
            replies = await self._commit(call.requests if call.sent else [])
            self._under_way = None
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                self._queue.appendleft(call)
                self.drop()
            elif not call.done.done():
                call.done.set_result(replies)

    async def _commit(self, requests) -> list[KeepResult | Exception]:
        replies: list[KeepResult | Exception] = [
            ValueError("refused") if self._refuses(each) else [] for each in requests
        ]
        good = [(at, each) for at, each in enumerate(requests) if each.webhook and not self._refuses(each)]
        if not good:
            await self.inner.probe()
            return replies
        done = asyncio.get_running_loop().create_future()
        self.inner.keep_many([each for _at, each in good], done.set_result)
        for (at, _each), reply in zip(good, await done, strict=True):
            replies[at] = reply
        return replies

    def _refuses(self, request) -> bool:
        webhook = request.webhook
        if webhook is None:
            return False
        return webhook.id in self.refused_bare or (webhook.id in self.refused and webhook.unparsed is None)

    # ---- the rest

    async def due(self, targets) -> Due:
        self._demand()
        return await self.inner.due(targets)

    async def losses(self):
        self._demand()
        return await self.inner.losses()

    def _demand(self) -> None:
        if self.away:
            raise StoreBusy("PostgreSQL is away")

    def background(self, _retention: Callable[[], Retention], _archive: object) -> Sequence[Coroutine[Any, Any, None]]:
        return []

    async def close(self) -> None:
        if not self._gate.is_set():
            self.drop()
            self.thaw()
        if self._working:
            await self._working
        self.connected = False
        await self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def stored(self) -> list[str]:
        """The ids of all webhooks, in the order in which the server learned of them."""
        return [
            id_
            for (id_,) in await self.inner._read(lambda cursor: rows(cursor, "select id from webhooks order by seq"))
        ]

    async def claimed(self) -> set[str]:
        """The ids of the events whose deliveries are claimed."""
        sql = (
            "select e.id from deliveries d join events e on e.seq = d.event where d.claimed = 1 and d.state = 'pending'"
        )
        return {id_ for (id_,) in await self.inner._read(lambda cursor: rows(cursor, sql))}


def _lose(cursor, number: int) -> None:
    found = rows(cursor, "select seq from webhooks order by seq desc limit ?", (number,))
    spooled.forget(cursor, [seq for (seq,) in found])
