"""Register a relay, keep its heartbeat, judge the others, and give back what nobody holds any more."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from math import inf

from psycopg.errors import UndefinedTable

from relay.clock import TOLERANCE
from relay.errors import ConfigurationError, StoreBusy, StoreUnsafe
from relay.signals import ClaimsReturned, ClockSet, Emit, RelayDeclaredDead, RelayDisowned, RelayJoined
from relay.store.claim_tokens import Tokens
from relay.store.postgres import claims
from relay.store.postgres.beats import CONFIRMED, EVERY, Beats
from relay.store.postgres.clock import NOW, DatabaseClock
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.lost_claims import LostClaims
from relay.store.postgres.registry import ABANDONED, NOBODY, Beat, Owner, Registry, declare_dead
from relay.store.postgres.shares import Shares
from relay.store.times import MILLISECOND, to_ms

_TOLERANCE = TOLERANCE // MILLISECOND
MOVE_DEADLINE = 120.0  # seconds: a clock that is set back moves all that waits in one transaction
ENDING = 2.0  # seconds after a fail-over in which attempts end; the claims of slower ones may be given out before


class Membership:
    """What makes one of several relays; `registry`, `lost` and `shares` are its parts.

    `disowned` is called when others have declared this relay dead, before it registers anew; `clock_set`
    with the difference when the database's clock was set.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: DatabaseClock,
        steady: Callable[[], float],
        work: Connection,
        look: Connection,
        emit: Emit,
        disowned: Callable[[], object],
        clock_set: Callable[[timedelta], object],
    ) -> None:
        self.registry = Registry(name)
        self.lost = LostClaims(steady)
        self.shares = Shares(name)
        self._beats = Beats()
        self._confirmed_at = -inf  # when the last beat that the database took was sent, by the steady clock
        self._clock = clock
        self._steady = steady
        self._work = work
        self._look = look
        self._emit = emit
        self._disowned = disowned
        self._clock_set = clock_set
        self._others: set[int] = set()  # incarnations that were seen alive
        self._timeline = ""
        self._restarted_at = -inf

    async def register(self) -> Tokens:
        """Become a new incarnation, by the database's clock; `registered` follows. StoreBusy after a fail-over."""
        if self._steady() - self._restarted_at < ENDING:
            raise StoreBusy("PostgreSQL has failed over: attempts that were under way end before others begin")
        if await self._work.transact(_clock_is_behind, gated=False):
            await self._work.transact(self._set_back, deadline=MOVE_DEADLINE, gated=False)
        return await self._work.transact(self._register, gated=False)

    async def _register(self, transaction: Transaction) -> Tokens:
        [(now,)] = await transaction.rows(f"select {NOW}")
        tokens = await self.registry.register(transaction, now, self._steady())
        self._clock.update(now)
        return tokens

    async def registered(self, tokens: Tokens) -> None:
        """Claim with these tokens, and look which other relays are alive."""
        self.registry.registered(tokens)
        await self.beat()

    async def keep_alive(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Beat for ever; the caller cancels it. `ready` registers this relay if it is not registered."""
        while True:
            try:
                if self.registry.tokens is None:
                    await ready()
                else:
                    await self.beat()
            except StoreBusy as error:  # a relay that cannot beat for long is declared dead
                if isinstance(error.__cause__, UndefinedTable) and self.registry.tokens:
                    self.disown()  # another server has taken over that never saw us: migrate it, and register
            except (StoreUnsafe, ConfigurationError):
                pass  # the forwarding of the spool reports it; the server may be mended, or another take over
            await asyncio.sleep(EVERY)

    async def beat(self) -> None:
        """Give a sign of life; judge the others; give back what nobody holds."""
        asked, sent_at = self._clock(), self._steady()
        [rows] = await self._look.run([self.registry.heartbeat()], first=True)
        beat = self.registry.read(rows)
        await self._clock_read(beat.now, beat.newest, asked)
        if not beat.alive:
            self.disown()
            return
        before, self._timeline = self._timeline, beat.timeline
        if before not in ("", beat.timeline):
            self._restart()
            return
        self._confirmed_at = sent_at
        self.shares.seen(beat.living.values())
        await self._judge(beat)
        await self._give_back()

    def owns(self) -> bool:
        """See `contract.DeliveryStore.owns`."""
        return self.registry.tokens is not None and self._steady() - self._confirmed_at < CONFIRMED

    def holds(self, owner: Owner) -> bool:
        """Whether what was claimed as this owner may be attempted: no other incarnation of this relay has begun."""
        return owner in (self.registry.owner, NOBODY)

    async def claimed(self, owner: Owner, now: int, newest: int, *, lives: bool) -> None:
        """Take over what the database said beside a claim: its clock, if ours is wrong, and whether we live."""
        if abs(now - to_ms(self._clock())) > claims.CLOCK_TOLERANCE:
            await self._clock_read(now, newest)
        if not lives and self.registry.owner == owner:
            self.disown()

    def _restart(self) -> None:
        """Become a new incarnation after a fail-over: the new server may have claims whose settlements it never saw.

        Nobody would settle or release those again; they are due as soon as this incarnation is gone. Until `ENDING` is
        over it is not: an attempt may be under way, and with ordering keys no other one may begin beside it.
        """
        self._restarted_at = self._steady()
        self.registry.disown()
        self._disowned()

    def disown(self) -> None:
        """Others have declared this relay dead, and have its claims."""
        self.registry.disown()
        self._emit(RelayDisowned())
        self._disowned()

    async def _clock_read(self, now: int, newest: int, asked: datetime | None = None) -> None:
        """Take over the database's clock; if it is behind the last beat of any relay it was set back."""
        if newest - now > _TOLERANCE:
            await self._work.transact(self._set_back, deadline=MOVE_DEADLINE)
        by = self._clock.update(now, asked)
        if abs(by) > TOLERANCE:
            self._emit(ClockSet(by=by))
            self._clock_set(by)

    async def _set_back(self, transaction: Transaction) -> None:
        """Move due times and leases, once for all relays: their last beats are moved with them."""
        await transaction.rows("select set_config('statement_timeout', '120s', true)")
        await transaction.rows("select schema from relay_meta for update")
        if (by := await _clock_is_behind(transaction)) is None:
            return
        [(now,)] = await transaction.rows(f"select {NOW}")
        await transaction.rows(*claims.set_back(by, now))
        await transaction.rows("update relays set seen_at = least(seen_at, %s)", (now,))

    async def _judge(self, beat: Beat) -> None:
        for incarnation in beat.beats.keys() - self._others:
            self._emit(RelayJoined(relay=beat.living[incarnation], incarnation=incarnation))
        self._others = set(beat.beats)
        for incarnation, seen in self._beats.silent(beat.beats, self._steady()).items():
            [rows] = await self._work.run([declare_dead(incarnation, seen, beat.now)])
            for (name,) in rows:
                self._emit(RelayDeclaredDead(relay=name))

    async def _give_back(self) -> None:
        lost = self.lost.statements()
        *returned, abandoned = await self._work.run([*lost, (ABANDONED, {"now": to_ms(self._clock())})])
        if lost:
            self.lost.given_back()
        for claims_, why in ((sum(map(len, returned)), "lost"), (len(abandoned), "abandoned")):
            if claims_:
                self._emit(ClaimsReturned(claims=claims_, why=why))

    async def leave(self) -> None:
        """End this incarnation, if the database can be told without waiting for it."""
        statements = self.registry.leave(to_ms(self._clock()))
        self.registry.disown()
        if statements and self._work.connected:
            with suppress(StoreBusy):  # the others will find out
                await self._work.run(statements)


async def _clock_is_behind(transaction: Transaction) -> int | None:
    """By how many milliseconds the database's clock is behind the last beat of any relay; None if it is not."""
    [(by,)] = await transaction.rows(f"select (select max(seen_at) from relays) - {NOW}")
    return int(by) if by is not None and by > _TOLERANCE else None
