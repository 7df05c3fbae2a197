"""The PostgreSQL store: several relays, each with three connections, share one database."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

from relay.signals import Emit
from relay.store.postgres.clock import DatabaseClock
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.migrate import migrate
from relay.store.postgres.registry import Registry
from relay.store.times import utc_now


class PostgresStore:
    """A store that several relays share; see `contract` for what each verb promises.

    `open` makes one of its owners, and connects at the first call; `visit` is for commands. Connections: `intake` for
    `keep` alone, `work` for claims, settles and acts, `look` for questions and the heartbeat.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        name: str | None,
        emit: Emit,
        machine: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = time.monotonic,
        prepare: bool = True,
    ) -> None:
        self._emit = emit
        self.clock = DatabaseClock(machine=machine, steady=steady)
        self._registry = Registry(name) if name else None
        self._intake = Connection(conninfo, name=f"{name} intake", prepare=prepare)
        self._work = Connection(conninfo, name=f"{name} work", prepare=prepare)
        self._look = Connection(conninfo, name=f"{name} look", prepare=prepare)

    @classmethod
    def open(cls, conninfo: str, *, name: str, emit: Emit, prepare: bool = True) -> Self:
        """Own part of the store, as the relay of this name; nothing is connected yet."""
        return cls(conninfo, name=name, emit=emit, prepare=prepare)

    async def ready(self) -> None:
        """Connect, migrate, and register."""
        await self._work.transact(self._prepare)

    async def _prepare(self, transaction: Transaction) -> None:
        await migrate(transaction)
        if self._registry:
            await self._registry.register(transaction, self.clock())

    async def close(self) -> None:
        """See `contract.Store.close`."""
        for each in (self._intake, self._work, self._look):
            await each.close()
