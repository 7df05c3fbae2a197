"""Statements that go to PostgreSQL without waiting for each other's answers, and end with one Sync."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import send


class _EndsWithSync(psycopg.AsyncPipeline):
    """One whose last message is its Sync, where psycopg's own sends a Flush after it.

    A PgBouncer that pools by transaction takes a Flush that comes late for the beginning of the next transaction: it
    gives this client a server connection that nobody else has until the client asks something again.

    Nothing may be fetched before the pipeline ends.
    """

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        if flush and self.result_queue and not self.command_queue:  # libpq has the Sync, but maybe not sent
            flush = False
            yield from send(self.pgconn)
        yield from super()._fetch_gen(flush=flush)


@asynccontextmanager
async def pipelined(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """A pipeline that raises its first error; psycopg would log the second one of a connection that is lost."""
    first: psycopg.Error | None = None
    connection._pipeline = _EndsWithSync(connection)  # psycopg has no other way to choose the class
    try:
        async with connection.pipeline():
            try:
                yield
            except psycopg.Error as error:
                first = error
    except psycopg.Error as error:
        raise first or error from None
    if first:
        raise first
