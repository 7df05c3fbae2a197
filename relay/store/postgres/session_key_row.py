"""The key of the console's cookies as a row: relays that share the database know each other's cookies."""

from relay.errors import StoreBusy
from relay.store.postgres.brief_connection import brief_connection, rows
from relay.store.session_key import new_key

_MAKE = "insert into session_keys (name, key) values ('console', %s) on conflict (name) do nothing"
_READ = "select key from session_keys where name = 'console'"


class SessionKeyRow:
    """See `SessionKey`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def read(self) -> bytes:
        """Return what is in the row, made if it is missing."""
        async with brief_connection(self._dsn, name="relay sessions") as connection:
            if not (found := await rows(connection, _READ)):
                await rows(connection, _MAKE, new_key())
                found = await rows(connection, _READ)
        if not found:
            raise StoreBusy("the key of sessions was removed meanwhile: ask again")
        return bytes(found[0][0])
