"""Whether amoCRM blocks an account: known to all processes of a store, until `relay account check` finds it served.

It blocks after too many requests, and its support alone ends that: to go on asking makes it worse.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from relay.errors import Blocked, StoreError
from relay.model import Account
from relay.signals import Emit
from relay.signals.account import AccountBlocked
from relay.store.account_records import AccountRecords

LOOKED_UP_EACH = 10.0  # seconds, while it is blocked


class Block:
    """The block of one account, if there is one. Lives in one event loop."""

    def __init__(self, account: Account, *, records: AccountRecords, emit: Emit) -> None:
        self._account = account.name
        self._records = records
        self._emit = emit
        self._time: Callable[[], float] = asyncio.get_running_loop().time
        self._error: Blocked | None = None
        self._stored = True  # the store knows what we know
        self._look_at = float("-inf")  # at once: another process may have found it

    async def check(self) -> None:
        """Raise Blocked if nothing may be sent."""
        if self._time() >= self._look_at:
            self._look_at = self._time() + LOOKED_UP_EACH
            if await self._look() and not self._error:
                self._look_at = float("inf")
        if self._error:
            raise self._error

    async def set(self, error: Blocked) -> None:
        """Send nothing from now on."""
        if self._error is None:
            self._error = error
            self._emit(AccountBlocked(account=self._account, detail=str(error)))
            await self._tell()

    async def lift(self) -> None:
        """Allow requests again: for a check of whether the block has ended."""
        self._error = None
        await self._tell()

    async def _tell(self) -> None:
        self._look_at = self._time() + LOOKED_UP_EACH
        self._stored = await self._store(str(self._error) if self._error else None)

    async def _look(self) -> bool:
        """See what others have found; what could not be stored is ours alone, and is stored now. False if not now."""
        if not self._stored:
            await self._tell()
            return self._stored
        before = self._error
        try:
            blocked = (await self._records.read(self._account)).blocked
        except StoreError:
            return False
        if self._error is before:  # else an answer has told us since
            self._error = (before or Blocked(blocked)) if blocked else None
        return True

    async def _store(self, blocked: str | None) -> bool:
        try:
            if (await self._records.read(self._account)).blocked == blocked:
                return True
            async with self._records.held(self._account) as held:
                await held.write(replace(held.record, blocked=blocked))
        except StoreError:
            return False
        return True
