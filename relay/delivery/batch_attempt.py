"""A batch -> its attempt: one request for all of it, and more only to find what the target rejects."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime

from relay.delivery.attempt import attempt
from relay.delivery.batch import as_one, batch_id, divides, halves
from relay.delivery.lane_states import States
from relay.delivery.prefetch import Prefetch
from relay.delivery.request import Renderer
from relay.delivery.send import Sends, origin
from relay.delivery.settlements import Settlements
from relay.delivery.slots import Slots
from relay.delivery.verdicts import Verdicts
from relay.model import Delivery, Health, Order, Outcome, Target
from relay.signals import BatchDivided, Emit
from relay.store.contract import DeliveryStore

Part = Sequence[Delivery]
"""The deliveries of one request."""


async def attempt_in_parts(
    batch: Part,
    target: Target,
    *,
    send: Callable[[Part], Awaitable[Outcome]],
    settle: Callable[[Part, Outcome], Awaitable[None]],
    may_go_on: Callable[[], Awaitable[bool]],
    on_divided: Callable[[Part, Outcome], object] = lambda _part, _outcome: None,
) -> Part:
    """Attempt a batch; return what is not settled, in order, if it may not go on after one of its requests.

    A part that the target rejects (`divides`) is sent again in halves, the first half first, until a delivery is alone:
    so one that is poison is settled alone, and the others in order. A part is settled before the next one is sent.
    """
    rest = [batch]
    while rest:
        part = rest.pop(0)
        outcome = await send(part)
        if len(part) > 1 and divides(outcome, target):
            on_divided(part, outcome)
            rest[:0] = halves(part)
        else:
            await settle(part, outcome)
        if rest and not await may_go_on():
            break
    return [delivery for part in rest for delivery in part]


class BatchAttempts:
    """Attempts of the batches of one target; `in_flight` are the deliveries of those under way.

    Lives in one event loop.
    """

    def __init__(
        self,
        *,
        store: DeliveryStore,
        states: States,
        slots: Slots,
        verdicts: Verdicts,
        settlements: Settlements,
        prefetch: Prefetch,
        in_flight: MutableMapping[str, float],
        clock: Callable[[], datetime],
        emit: Emit,
    ) -> None:
        self._store = store
        self._states = states
        self._slots = slots
        self._verdicts = verdicts
        self._settlements = settlements
        self._prefetch = prefetch
        self._in_flight = in_flight
        self._clock = clock
        self._emit = emit
        self._time = asyncio.get_running_loop().time

    def use(self, renderer: Renderer, sender: Sends, *, concurrency: int) -> None:
        """Go on with these settings; what is left of batches under way goes back if the target is another one."""
        target = renderer.target
        self._renderer, self._sender = renderer, sender
        self._most = concurrency * (target.batch.most if target.batch else 1)

    async def attempt(self, batch: Part, *, expires_at: float) -> None:
        """Attempt a batch off the queue, whose claims expire at this loop time; give back what is not settled."""
        renderer, sender, probe = self._renderer, self._sender, self._states.circuit is Health.PROBING
        target = renderer.target

        async def send(part: Part) -> Outcome:
            self._slots.take()
            outcome = await attempt(
                as_one(part), renderer, store=self._store, sender=sender, clock=self._clock, batch=part
            )
            return replace(outcome, batch=len(part))

        async def may_go_on() -> bool:
            await self._slots.wait(lambda: self._allows(target, expires_at))
            return self._allows(target, expires_at)

        try:
            rest = await attempt_in_parts(
                batch,
                target,
                send=send,
                settle=lambda part, outcome: self._settle(part, outcome, target, probe=probe),
                may_go_on=may_go_on,
                on_divided=lambda part, outcome: self._emit(_divided(part, outcome)),
            )
        finally:
            self._end(batch)
        self._prefetch.release(rest)

    def _allows(self, target: Target, expires_at: float) -> bool:
        """Whether another request of a batch may be made: all is as it was at the first one."""
        unexpired = expires_at > self._time() + target.timeout.total_seconds()
        return unexpired and self._states.queues and target == self._renderer.target and self._store.owns()

    async def _settle(self, part: Part, outcome: Outcome, target: Target, *, probe: bool) -> None:
        """Settle the deliveries of one request together."""
        self._end(part)
        here = origin(target.url) == origin(self._renderer.target.url)
        verdicts = self._verdicts.of(part, outcome, target, probe=probe, here=here)
        made = [(delivery, outcome, verdict) for delivery, verdict in zip(part, verdicts, strict=True)]
        await self._settlements.settle_together(made, most=self._most, may_wait=target.order is not Order.ENTITY)

    def _end(self, part: Part) -> None:
        for each in part:
            self._in_flight.pop(each.event_id, None)


def _divided(part: Part, outcome: Outcome) -> BatchDivided:
    id_ = batch_id([each.event_id for each in part])
    return BatchDivided(target=part[0].target, webhook_id=id_, deliveries=len(part), outcome=outcome)
