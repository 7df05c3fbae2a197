"""Records of amoCRM accounts as rows; the user of a refresh token holds its row `for update`.

Over a connection of their own: such a transaction stays open while amoCRM is asked, for up to 20 s, which no other one
does. It works behind PgBouncer, too, where locks of a session would be nobody's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg

from relay.errors import StoreBusy
from relay.store.account_records import NOTHING, AccountRecord, decode, encode
from relay.store.postgres.brief_connection import brief_connection, rows

HELD_WITHIN = 60.0  # seconds
WRITTEN_WITHIN = 30.0  # over new connections, if the one that holds the row is lost: what is written nobody else has
AGAIN_AFTER = 0.2

_READ = "select document from account_records where account = %s"
_MAKE = "insert into account_records (account, document) values (%s, %s) on conflict (account) do nothing"
_HOLD = "select document from account_records where account = %s for update"
_WRITE = "update account_records set document = %s where account = %s"
_WRITE_UNLESS = """
insert into account_records as stored (account, document) values (%s, %s)
on conflict (account) do update set document = excluded.document where stored.document = %s
"""


class AccountRows:
    """See `AccountRecords`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def read(self, account: str) -> AccountRecord:
        """Return what is stored."""
        async with self._connection() as connection:
            found = await rows(connection, _READ, account)
        return _record(found, account) if found else NOTHING

    @asynccontextmanager
    async def held(self, account: str) -> AsyncIterator["HeldRow"]:
        """Hold the row of this account; made if it is missing. It ends with the connection, too."""
        async with self._connection() as connection:
            await rows(connection, _MAKE, account, encode(NOTHING))
            await rows(connection, "begin")
            await rows(connection, f"set local lock_timeout = {int(HELD_WITHIN * 1000)}")
            yield HeldRow(self, connection, account, _record(await rows(connection, _HOLD, account), account))

    def _connection(self) -> AbstractAsyncContextManager["psycopg.AsyncConnection[Any]"]:
        return brief_connection(self._dsn, name="relay accounts")

    async def write(self, account: str, before: AccountRecord, record: AccountRecord) -> None:
        """Write over a new connection what a lost one may not have written, unless somebody else has since."""
        ends_at = asyncio.get_running_loop().time() + WRITTEN_WITHIN
        while True:
            try:
                async with self._connection() as connection:
                    await rows(connection, _WRITE_UNLESS, account, encode(record), encode(before))
                    return
            except StoreBusy:
                if asyncio.get_running_loop().time() > ends_at:
                    raise
                await asyncio.sleep(AGAIN_AFTER)


class HeldRow:
    """See `HeldRecord`."""

    def __init__(
        self, rows: AccountRows, connection: "psycopg.AsyncConnection[Any]", account: str, record: AccountRecord
    ) -> None:
        self._rows = rows
        self._connection = connection
        self._account = account
        self.record = record

    async def write(self, record: AccountRecord) -> None:
        """Commit it; the row is not held after that."""
        try:
            await rows(self._connection, _WRITE, encode(record), self._account)
            await rows(self._connection, "commit")
        except StoreBusy:
            await self._rows.write(self._account, self.record, record)
        self.record = record


def _record(found: list[tuple[Any, ...]], account: str) -> AccountRecord:
    return decode(found[0][0], f"the record of the account {account}")
