"""The database's time of the last reading, carried on by this process's steady clock."""

from collections.abc import Callable
from datetime import datetime, timedelta

from relay.store.times import from_ms


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

    def update(self, milliseconds: int) -> None:
        """Take over what the database's clock said just now."""
        self._read, self._read_at = from_ms(milliseconds), self._steady()
