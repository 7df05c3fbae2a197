"""A connection for one use, beside those of the store: works behind PgBouncer, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from relay.errors import StoreBusy
from relay.store.postgres.failures import AWAY, failure_of

CONNECTED_WITHIN = 12.0  # seconds


@asynccontextmanager
async def brief_connection(dsn: str, *, name: str) -> AsyncIterator["psycopg.AsyncConnection[Any]"]:
    """Connect; what is not committed when the block ends is rolled back. StoreBusy if there is no server."""
    try:
        async with asyncio.timeout(CONNECTED_WITHIN):
            connection = await psycopg.AsyncConnection.connect(
                dsn, autocommit=True, prepare_threshold=None, application_name=name
            )
    except AWAY as error:
        raise StoreBusy(failure_of(error)) from error
    try:
        yield connection
    finally:
        await connection.close()


async def rows(connection: "psycopg.AsyncConnection[Any]", sql: str, *values: str | bytes) -> list[tuple[Any, ...]]:
    """Run a statement; StoreBusy if the connection is lost."""
    try:
        cursor = await connection.execute(sql.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []
    except AWAY as error:
        raise StoreBusy(failure_of(error)) from error
