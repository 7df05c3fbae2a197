"""Have libpq read a URL without a server: what it cannot use is misuse, and would be tried for ever."""

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn

_NOWHERE = "/nonexistent"  # no socket is there: libpq reads all parameters, and then fails at once
_TRIED = "connection to server"


def check_dsn(dsn: str) -> None:
    """ValueError for a parameter that libpq does not know, or whose value it does not take."""
    try:
        conninfo = make_conninfo(dsn, host=_NOWHERE, hostaddr="", port="1")
    except psycopg.ProgrammingError as error:
        raise ValueError(_unusable(str(error))) from None
    connection = PGconn.connect_start(conninfo.encode())
    said = connection.get_error_message()
    connection.finish()
    if said and not said.startswith(_TRIED):
        raise ValueError(_unusable(said))


def _unusable(said: str) -> str:
    return f"the URL of the PostgreSQL store cannot be used: {' '.join(said.split())}"
