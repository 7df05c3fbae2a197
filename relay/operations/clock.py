"""A store -> the time by which it dates acts and what is due: with PostgreSQL the server's, not this machine's."""

from datetime import datetime

from relay.store.contract import OperationsStore


def now(store: OperationsStore) -> datetime:
    """Return the present time of the store, aware UTC."""
    return store.clock()
