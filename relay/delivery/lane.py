"""One target's lane: claimed deliveries -> attempts -> settled deliveries, as many at a time as the target takes.

admit ──▶ queue ──▶ work (at most `concurrency`, at its pace) ──▶ attempt ──▶ decide ──▶ settle
            ▲
feed ◀── store: retries that are due, what a restart left, what did not fit into the queue

While the target is held the queue is empty, but for the probe. A target that waits for its next request does not wait
for the disk: as many as may be attempted at a time are settled beside that. What is in flight or unsettled when the
relay is killed, at most twice its `concurrency`, the target sees again.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta

from relay.delivery.alarm import Alarm
from relay.delivery.attempt import attempt
from relay.delivery.breaker import LONGEST_PAUSE, Breaker, Health
from relay.delivery.insist import insist
from relay.delivery.pace import Pace
from relay.delivery.queue import MAX_LENGTH, Queue
from relay.delivery.retry import decide
from relay.delivery.send import Sender
from relay.delivery.settling import Made, Settling
from relay.delivery.workers import Workers
from relay.errors import StoreBusy, StoreFailed
from relay.model import Delivery, Order, Outcome, RetryAt, Target
from relay.signals import Attempted, Emit, Noticed
from relay.store.contract import Store

LOOK_AGAIN = timedelta(minutes=1)  # in the store, though nothing announced itself: a lease may have run out
LONGEST_NAP = 1.0  # seconds between looks at `rate`, which a reload may have changed
MAX_TROUBLE = 200  # characters of an outcome's detail


class Lane:
    """Everything for one target; nothing here waits for another target. Lives in one event loop."""

    def __init__(self, target: Target, *, store: Store, emit: Emit, clock: Callable[[], datetime]) -> None:
        self.breaker = Breaker()
        self.target = target
        self._store = store
        self._emit = emit
        self._clock = clock
        self._sender = Sender(clock=clock)
        self._queue = Queue()
        self._behind = True  # the store may have due deliveries that are not in the queue
        self._paused = False
        self._hungry = False
        self._feeding = False
        self._workers = Workers(self._work, most=self._most, begin=self._spawn)
        self._pace = Pace()
        self._alarm = Alarm(self._ring)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling = Settling(store, settled=self._settled, begin=self._spawn, clock=clock)
        self.trouble = ""  # what the last attempt that failed said; empty once one does not

    @property
    def health(self) -> Health:
        """Its state, as `relay_target_state` has it."""
        return Health.PAUSED if self._paused else self.breaker.health

    def use(self, target: Target) -> None:
        """Go on with these settings. If they are new the target is not held: it may be another one now."""
        if target != self.target:
            self.breaker = Breaker()
            self._pace = Pace()
        self.target = target
        self._workers.recount()
        self._workers.call(len(self._queue))
        self.feed()

    def pause(self, *, on: bool) -> None:
        """Paused, nothing is begun, and what is in flight ends; going on, the store is looked through at once."""
        if on == self._paused:
            return
        self._paused = on
        if on:
            self._hold_back()
        else:
            self.feed()

    # ---- what comes in

    def lease(self) -> timedelta | None:
        """For how long a new delivery may be born claimed; None if it has to wait its turn in the store."""
        if self._behind or self._closed() or not self._queue.room:
            self._behind = True
            return None
        return self._lease()

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries that are claimed by us."""
        if self._closed():
            self._give_back(deliveries)
        else:
            self._enqueue(deliveries)

    def feed(self) -> None:
        """See what the store has for us; asked while looking, look once more."""
        self._hungry = True
        if not self._feeding:
            self._feeding = True
            self._spawn(self._feed())

    def expect(self, due_at: datetime) -> None:
        """Feed at that time, unless an earlier time is set already."""
        if not self._stopping.is_set():
            self._alarm.set(max((due_at - self._clock()).total_seconds(), 0.0))

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more, give back what was not begun; what is in flight has `grace` to end.

        What has not ended by then stays claimed, because nobody knows what the target made of it.
        """
        self._stopping.set()
        self._workers.recount()
        self._alarm.cancel()
        self._give_back(self._queue.drain())
        clock = asyncio.get_running_loop().time
        until = clock() + grace.total_seconds()
        # an attempt that ends has its settling begin
        while (busy := self._tasks | self._settling.under_way) and (left := until - clock()) > 0:
            await asyncio.wait(busy, timeout=left)
        while late := self._tasks | self._settling.under_way:  # one that ended just now may have begun another
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._sender.close()

    # ---- the store

    async def _feed(self) -> None:
        try:
            while self._hungry and self._queue.room and not self._shut() and not self._idle():
                self._hungry = False
                await self._look()
        except StoreBusy:
            self._behind = True
            self.expect(self._clock() + LOOK_AGAIN)  # the dispatcher sees what is due much sooner, but no lease
        finally:
            self._feeding = False

    async def _look(self) -> None:
        """Claim what is due: as much as fits or, if the target is held, a probe."""
        probing = self._held()
        deliveries = await self._claim(limit=1 if probing else self._queue.room)
        if probing and deliveries and self._held() and not self._idle():
            self.breaker = self.breaker.probe()
            self._enqueue(deliveries)
        else:
            self.admit(deliveries)
        if not self._behind:
            later = self._clock() + LOOK_AGAIN
            due = await self._store.due([self.target.name])
            self.expect(min(later, due.at.get(self.target.name, later)))

    async def _claim(self, *, limit: int) -> list[Delivery]:
        self._behind = False  # what is kept from now on may be born claimed, unless there is more than we take
        max_bytes = self._queue.room_bytes
        deliveries = await self._store.claim(
            self.target.name, limit=limit, max_bytes=max_bytes, now=self._clock(), lease=self._lease()
        )
        taken_all = len(deliveries) < limit and sum(len(d.payload) for d in deliveries) < max_bytes
        self._behind = self._behind or not taken_all
        return deliveries

    def _hold_back(self) -> None:
        """Give back what is queued; if it was the probe, another will be."""
        if self._queue and self._held():
            self.breaker = self.breaker.unprobed(self._clock())
        self._give_back(self._queue.drain())

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._behind = True
            self._spawn(insist(lambda: self._store.release(deliveries, now=self._clock())))

    # ---- attempts

    def _enqueue(self, deliveries: Sequence[Delivery]) -> None:
        self._queue.add(deliveries)
        self._workers.call(len(deliveries))

    async def _work(self) -> bool:
        """The next attempt; False if there is none to make."""
        delivery = await self._next()
        if delivery is None:
            return False
        if self._behind and self._queue.room > MAX_LENGTH // 2:
            self.feed()
        await self._attempt(delivery)
        return True

    async def _next(self) -> Delivery | None:
        """A delivery, as soon as `rate` allows its attempt; None if there is none to begin."""
        clock = asyncio.get_running_loop().time
        while self._queue and not self._stopping.is_set() and (pause := self._pace.wait(self.target.rate, now=clock())):
            await _sleep_unless(self._stopping, min(pause, LONGEST_NAP))
        if not self._queue:
            return None
        self._pace.take(self.target.rate, now=clock())
        return self._queue.take()

    async def _attempt(self, delivery: Delivery) -> None:
        target, probe = self.target, self.breaker.health is Health.PROBING
        outcome = await attempt(delivery, target, store=self._store, sender=self._sender, clock=self._clock)
        now, roll = self._clock(), random.random()  # noqa: S311  jitter
        verdict = decide(delivery, outcome, target, now=now, roll=roll, probe=probe)
        self._look_at(outcome, target, now, probe=probe)
        # in this step, for whatever ends the lane next: the attempt is made, and to forget it would repeat it
        await self._settling.settle(Made(delivery, outcome, verdict), now=now, most=target.concurrency)

    def _settled(self, made: Made) -> None:
        delivery, outcome, verdict = made
        lag = max(self._clock() - delivery.received_at, timedelta())  # the clock may have been set back
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=lag))
        if isinstance(verdict, RetryAt):
            self.expect(verdict.due_at)
        elif self.target.order is Order.ENTITY:
            self.feed()  # the next one of this entity is due now

    def _look_at(self, outcome: Outcome, target: Target, now: datetime, *, probe: bool) -> None:
        """What this outcome says of the target's health."""
        was_held = self._held()
        roll = random.random()  # noqa: S311  jitter
        self.breaker = self.breaker.after(outcome, target, probe=probe, now=now, roll=roll)
        self.trouble = _told(outcome) if self.breaker.failures else ""
        if self.breaker.probe_at:
            self._give_back(self._queue.drain())
            self.expect(self.breaker.probe_at)
        elif was_held and not self._held():
            self.feed()
        if was_held != self._held():
            self._tell_of_health()

    def _tell_of_health(self) -> None:
        fields: dict[str, object] = {"target": self.target.name, "failures": self.breaker.failures or None}
        if self._held():
            fields |= {"probe_at": self.breaker.probe_at, "detail": self.trouble}
            self._emit(Noticed(level="warning", text="target held", fields=fields))
        else:
            self._emit(Noticed(level="info", text="target answers again", fields=fields))

    # ---- small questions

    def _most(self) -> int:
        """Attempts at a time."""
        return 0 if self._stopping.is_set() else self.target.concurrency

    def _held(self) -> bool:
        return self.breaker.health is not Health.OK

    def _closed(self) -> bool:
        """Nothing new may be queued."""
        return self._held() or self._idle()

    def _idle(self) -> bool:
        """Nothing is to be begun, be it a probe."""
        return self._paused or self._stopping.is_set()

    def _shut(self) -> bool:
        """Held, and it is not yet time for a probe. If that is further away than it ever is, the clock was set back."""
        probe_at = self.breaker.probe_at
        return self._held() and (probe_at is None or timedelta() < probe_at - self._clock() <= LONGEST_PAUSE)

    def _lease(self) -> timedelta:
        """Long enough for the last delivery of a full queue, each before it at its worst."""
        target = self.target
        worst = target.timeout * (MAX_LENGTH // target.concurrency + 2)
        paced = timedelta(seconds=MAX_LENGTH / target.rate) if target.rate else timedelta()
        return worst + paced + timedelta(minutes=1)

    def _ring(self) -> None:
        if self._shut() and self.breaker.probe_at:
            self.expect(self.breaker.probe_at)  # rung by a delivery, or a little early
        else:
            self.feed()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._stopping.is_set():
            return
        if error and not isinstance(error, StoreFailed):  # the store has told of that one, and the relay stops
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"lane {self.target.name}", "exception": error}
            )


def _told(outcome: Outcome) -> str:
    """`5xx 503 busy`."""
    return " ".join(str(each) for each in (outcome.reason, outcome.status, outcome.detail[:MAX_TROUBLE]) if each)


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
