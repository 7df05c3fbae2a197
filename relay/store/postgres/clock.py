"""The database's time of the last reading, carried on by this process's steady clock."""

from collections.abc import Callable
from datetime import datetime, timedelta

from relay.clock import TOLERANCE
from relay.store.times import from_ms

NOW = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
"""SQL for milliseconds of the database's clock. Only registration, heartbeat and claim read it, to compare."""


class DatabaseClock:
    """Return the database's time; until the first reading that of the machine. `steady` are monotonic seconds."""

    def __init__(self, *, machine: Callable[[], datetime], steady: Callable[[], float]) -> None:
        self._machine = machine
        self._steady = steady
        self._read_at: float | None = None
        self._read = machine()

    @property
    def known(self) -> bool:
        """Whether the database was ever asked."""
        return self._read_at is not None

    def __call__(self) -> datetime:
        """Return the present time, aware UTC."""
        if self._read_at is None:
            return self._machine()
        return self._read + timedelta(seconds=self._steady() - self._read_at)

    def update(self, milliseconds: int, asked: datetime | None = None) -> timedelta:
        """Take over what the database's clock said since `asked`, or just now; return by how much it was set.

        What was long on its way says little: it is taken over only if it disagrees.
        """
        read, now = from_ms(milliseconds), self()
        known = self._read_at is not None
        agrees = known and asked is not None and asked - TOLERANCE <= read <= now + TOLERANCE
        if not agrees or (asked is not None and now - asked <= TOLERANCE):
            self._read, self._read_at = read, self._steady()
        return read - now if known and not agrees else timedelta()
