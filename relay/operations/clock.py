"""A store -> the time by which it dates acts and what is due: with PostgreSQL the server's, not this machine's."""

from datetime import UTC, datetime
from typing import cast

from relay.store.contract import Archive, OperationsStore


def now(store: OperationsStore) -> datetime:
    """Return the present time of the store, aware UTC."""
    return store.clock()


def no_store() -> Archive:
    """In place of a store, for questions of which nothing is stored: it has the time of this machine alone."""
    return cast(Archive, _NoStore())


class _NoStore:
    def clock(self) -> datetime:
        return datetime.now(UTC)
