"""Webhooks -> the shared store while it commits in time, else the spool, in the order of the calls.

          committed within 0.4 s                spool empty, none on its way there, the shared store commits
 direct ─────────────────────────▶ reply     spooling ──────────────────────────────────────────────────────▶ direct
    │ doubt: late, StoreBusy, refused, a new connection
    └──▶ all that is under way, in its order, then all that comes ──▶ spooling

One that is under way is in both from then on; whichever commits first replies. `forward` ends the spooling.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeAlias

from relay.model import Delivery
from relay.signals import Emit, SpoolingBegan
from relay.store.contract import SharedStore
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.spool.tail import Tail

HEDGE = 0.4  # seconds until the spool is asked, too: amoCRM waits 2 s, and the 503 is sent after 1.5
HOLD = 0.2  # seconds that webhooks wait in memory at most while the last ones are forwarded

OnReplies: TypeAlias = Callable[[Sequence[KeepResult | Exception]], object]


class Spool(Protocol):
    """What intake needs of the spool: `store.sqlite.spool.SqliteSpool`."""

    def spool_many(self, requests: Sequence[KeepRequest], on_replies: OnReplies) -> None:
        """Commit webhooks, in their order, to be forwarded."""
        ...


class Intake:
    """Lives in one event loop. `direct`: webhooks go to the shared store. `since`: the last change of that.

    `why`: the newest reason for not being direct. `announced`: `SpoolingBegan` was emitted for the present spooling.

    `late` gets deliveries that the shared store claimed for a webhook whose reply was the spool's.
    """

    def __init__(
        self,
        shared: SharedStore,
        spool: Spool,
        *,
        tail: Tail,
        late: Callable[[Sequence[Delivery]], object],
        emit: Emit,
        clock: Callable[[], datetime],
        hedge: float = HEDGE,
        hold: float = HOLD,
    ) -> None:
        self._shared = shared
        self._spool = spool
        self._tail = tail
        self._late = late
        self._emit = emit
        self._clock = clock
        self._hedge = hedge
        self._hold = hold
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[_Message, None] = {}  # asked of the shared store, in the order of the calls
        self._timer: asyncio.TimerHandle | None = None  # until the oldest of them is late
        self._held: list[_Message] | None = None  # what waits for the last ones to be forwarded
        self._release: asyncio.TimerHandle | None = None
        self._on_their_way = 0  # messages to the spool that it has not replied to
        self._written = asyncio.Event()
        self._written.set()
        self._connection = 0  # the intake connection that `direct` trusts
        self.direct = False
        self.since = clock()
        self.why = "the relay starts"
        self.announced = False
        self._began = self._loop.time()
        self.spooling = asyncio.Event()  # set while not direct
        self.spooling.set()

    def keep_many(self, requests: Sequence[KeepRequest], on_replies: OnReplies) -> None:
        """See `store.contract.IngestStore.keep_many`."""
        message = _Message(requests, on_replies, self._loop.time() + self._hedge)
        if self.direct and self._shared.connections != self._connection:
            self.doubt("a new connection to the shared store: it may lack webhooks")
        if self.direct:
            self._ask_shared(message)
        elif self._held is not None:
            self._held.append(message)
            if self._release is None:
                self._release = self._loop.call_later(self._hold, self.unhold)
        else:
            self._ask_spool([message])

    def doubt(self, why: str) -> None:
        """Spool all that is under way, at once and in its order, before anything new."""
        self.why = why
        if self.announced:
            return
        self.announced = True
        if self.direct:
            self.direct, self.since, self._began = False, self._clock(), self._loop.time()
            self.spooling.set()
        under_way = [*self._under_way]
        self._under_way.clear()
        self._emit(SpoolingBegan(why=why, under_way=sum(len(each.unkept()) for each in under_way)))
        if under_way:
            self._ask_spool(under_way)

    def stop(self) -> None:
        """Spool what is under way or held: the shared store may take too long to close."""
        if self._under_way:
            self.doubt("the relay stops")
        self.unhold()

    # ---- the shared store

    def _ask_shared(self, message: "_Message") -> None:
        self._under_way[message] = None
        if self._timer is None:
            self._timer = self._loop.call_at(message.deadline, self._on_hedge)
        try:
            self._shared.keep_many(message.requests, partial(self._on_shared, message))
        except Exception as error:  # noqa: BLE001  the spool takes it, or says what is wrong with it
            self.doubt(_reason(error))

    def _on_hedge(self) -> None:
        self._timer = None
        if not self._under_way:
            return
        oldest = next(iter(self._under_way))
        if oldest.deadline > self._loop.time():
            self._timer = self._loop.call_at(oldest.deadline, self._on_hedge)
        else:
            self.doubt(f"the shared store did not commit within {self._hedge} s")

    def _on_shared(self, message: "_Message", replies: Sequence[KeepResult | Exception]) -> None:
        failed: Exception | None = None
        for position, (request, reply) in enumerate(zip(message.requests, replies, strict=True)):
            if isinstance(reply, Exception):
                failed = failed or reply
                continue
            if isinstance(reply, list):
                self._tail.add(request)
            if not message.replied:
                message.replies[position] = reply
            elif isinstance(reply, list) and reply:
                self._late(reply)
        if failed is not None and message in self._under_way:  # else it is in the spool already
            self.doubt(_reason(failed))
        self._under_way.pop(message, None)
        self._reply(message)

    # ---- the spool

    def _ask_spool(self, messages: Sequence["_Message"]) -> None:
        parts = [(message, position) for message in messages for position in message.unkept()]
        self._on_their_way += 1
        self._written.clear()
        try:
            requests = [message.requests[position] for message, position in parts]
            self._spool.spool_many(requests, partial(self._on_spooled, messages, parts))
        except BaseException:
            self._arrived()
            raise

    def _on_spooled(
        self,
        messages: Sequence["_Message"],
        parts: Sequence[tuple["_Message", int]],
        replies: Sequence[KeepResult | Exception],
    ) -> None:
        self._arrived()
        for (message, position), reply in zip(parts, replies, strict=True):
            if message.replies[position] is None:
                message.replies[position] = reply
        for message in messages:
            self._reply(message)

    def _arrived(self) -> None:
        self._on_their_way -= 1
        if not self._on_their_way:
            self._written.set()

    # ---- the end of the spooling

    def hold(self) -> None:
        """Have new webhooks wait in memory, none longer than a moment, so that the spool can be emptied."""
        self._held = []

    async def written(self) -> None:
        """Return once nothing is on its way to the spool."""
        await self._written.wait()

    def go_direct(self, connection: int) -> timedelta | None:
        """Bypass the spool, which the caller has seen empty since `hold`, while that intake connection lasts.

        Returns how long the spooling took. None if it goes on: webhooks were held for too long, and are in the spool.
        """
        if self._held is None or self._on_their_way or self._shared.connections != connection:
            return None
        took = timedelta(seconds=self._loop.time() - self._began)
        self.direct, self.announced, self._connection, self.since = True, False, connection, self._clock()
        self.spooling.clear()
        self.unhold()
        return took

    def unhold(self) -> None:
        """Let go of what was held, in its order."""
        held, self._held = self._held, None
        if self._release:
            self._release.cancel()
            self._release = None
        if held and not self.direct:
            self._ask_spool(held)
            return
        for message in held or ():
            if self.direct:
                self._ask_shared(message)
            else:  # a doubt over one of them
                self._ask_spool([message])

    # ---- replies

    def _reply(self, message: "_Message") -> None:
        if message.replied or message.unkept():
            return
        message.replied = True
        try:
            message.on_replies([each for each in message.replies if each is not None])
        except Exception as error:  # noqa: BLE001  a fault over one message is not the others'
            self._loop.call_exception_handler({"message": "a reply to webhooks", "exception": error})


class _Message:
    """One call of `keep_many`, and the replies there are, by position; None: no reply yet."""

    __slots__ = ("deadline", "on_replies", "replied", "replies", "requests")

    def __init__(self, requests: Sequence[KeepRequest], on_replies: OnReplies, deadline: float) -> None:
        self.requests = requests
        self.on_replies = on_replies
        self.deadline = deadline
        self.replies: list[KeepResult | Exception | None] = [None] * len(requests)
        self.replied = False

    def unkept(self) -> list[int]:
        """Return the positions that have no reply."""
        return [position for position, reply in enumerate(self.replies) if reply is None]


def _reason(error: Exception) -> str:
    return str(error) or repr(error)
