"""The queue of one relay: `claim`, `settle`, `release`, `due` -> transactions on the work and look connections."""

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from relay.model import Delivery
from relay.signals import Committed, Emit
from relay.store.postgres import claims
from relay.store.postgres.batch import Batch
from relay.store.postgres.clock import DatabaseClock
from relay.store.postgres.connection import Connection
from relay.store.postgres.membership import Membership
from relay.store.postgres.registry import NOBODY
from relay.store.records import Due
from relay.store.requests import Settlement
from relay.store.times import to_ms


class DeliveryQueue:
    """See `contract.DeliveryStore` for the promises. Without a `membership` (a command) nothing is claimed."""

    def __init__(
        self,
        work: Connection,
        look: Connection,
        membership: Membership | None,
        *,
        clock: DatabaseClock,
        emit: Emit,
    ) -> None:
        self._work = work
        self._look = look
        self._membership = membership
        self._clock = clock
        self._emit = emit
        self._settling: Batch[Settlement, bool] = Batch(self._settle_all, size=_size)

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """See `contract.DeliveryStore`."""
        task = asyncio.get_running_loop().create_task(self._claim(target, limit, max_bytes, now, lease))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._undo)  # else nobody would have them until their leases end
            raise

    async def _claim(self, target: str, limit: int, max_bytes: int, now: datetime, lease: timedelta) -> list[Delivery]:
        if (member := self._membership) is None or (tokens := member.registry.tokens) is None or limit < 1:
            return []
        owner = member.registry.owner or NOBODY
        lost = member.lost.statements()
        with member.lost.tokens(tokens, limit) as first:
            statements = claims.claim(
                target,
                limit=limit,
                max_bytes=max_bytes,
                now=to_ms(now),
                until=to_ms(now + lease),
                clock=to_ms(self._clock()),
                owner=owner,
                first=first,
            )
            *_, rows, [(clock, newest, lives)] = await self._work.run([*lost, *statements])
        if lost:
            member.lost.given_back()
        await member.claimed(owner, clock, newest, lives=lives)
        return claims.claimed(target, rows) if member.holds(owner) else []

    def _undo(self, done: "asyncio.Task[list[Delivery]]") -> None:
        if not done.cancelled() and done.exception() is None and done.result():
            again = asyncio.get_running_loop().create_task(self._release(done.result(), self._clock()))
            again.add_done_callback(_retrieve)

    def settle(self, settlement: Settlement) -> Future[bool]:
        """See `contract.DeliveryStore`."""
        return self._settling.submit(settlement)

    def settle_many(
        self,
        settlements: Sequence[Settlement],
        on_replies: Callable[[Sequence[bool | Exception]], object],
        *,
        may_wait: bool,
    ) -> None:
        """See `contract.DeliveryStore`."""
        self._settling.submit_many(settlements, on_replies, may_wait=may_wait)

    async def release(self, deliveries: Sequence[Delivery], now: datetime) -> int:
        """See `contract.DeliveryStore`."""
        return await self._release(deliveries, now)

    async def due(self, targets: Sequence[str]) -> Due:
        """See `contract.DeliveryStore`."""
        [rows] = await self._look.run([claims.due(targets)], first=True)
        return claims.due_of(targets, rows)

    async def close(self) -> None:
        """End after what was settled before."""
        await self._settling.close()

    async def _release(self, deliveries: Sequence[Delivery], now: datetime) -> int:
        [rows] = await self._work.run([claims.release([each for each in deliveries if self._gave(each)], to_ms(now))])
        return len(rows)

    async def _settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        began = time.monotonic()
        mine = [self._gave(each.delivery) for each in settlements]
        now = max(to_ms(each.now) for each in settlements)
        replies = await self._work.run(claims.settle(settlements, mine, now))
        ours = replies[len(replies) // 2]
        self._emit(Committed(writes=len(settlements), took=timedelta(seconds=time.monotonic() - began)))
        positions = {number - 1 for (number,) in ours}
        return [position in positions for position in range(len(settlements))]

    def _gave(self, delivery: Delivery) -> bool:
        return self._membership is not None and self._membership.registry.gave(delivery.token)


def _size(settlement: Settlement) -> int:
    return 200 + len(settlement.outcome.detail)


def _retrieve(task: "asyncio.Task[int]") -> None:
    """So that asyncio does not log its error: the claims are given back with their leases."""
    if not task.cancelled():
        task.exception()
