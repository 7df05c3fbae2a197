"""Errors of psycopg and libpq -> what follows from them, and one line that says what happened."""

import re

import psycopg
from psycopg import errors

REPEAT = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable, errors.QueryCanceled)
"""The transaction is rolled back, the connection stays, and the next try may succeed."""

REFUSED = (
    psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex,
    errors.TooManyColumns, errors.TooManyArguments,
)  # fmt: skip
"""What is wrong with values: to repeat them is no use, and others are none the worse. All else is the server's."""

BUGS = (errors.SyntaxError, errors.UndefinedParameter, errors.AmbiguousColumn, errors.DatatypeMismatch)
AWAY = (psycopg.Error, OSError, TimeoutError)

_RACES = (
    "deliveries_head",
    "webhooks_id_key",  # kept before, by a transaction whose answer was lost and that commits only now
)

_OF_HOST = re.compile(r'connection to server at "([^"]*)"(?: \([^)]*\))?, port (\d+) failed: (.*)')
_ONE_OF_SEVERAL = re.compile(r"- host: '([^']*)', port: '?(\d*)'?, hostaddr: '[^']*': (.*)")
_ADVICE = re.compile(
    r"\s*(This probably means the server terminated abnormally before or while processing the request\."
    r"|Is the server running (on that host|locally) and accepting .*connections( on that socket)?\?)"
)
_PREFIX = re.compile(r"^(connection failed|consuming input failed|sending query failed|flushing failed): ")


def is_race(error: psycopg.Error) -> bool:
    """Whether an index refused one of two that inserted at once: repeated, it sees what the other did."""
    return isinstance(error, errors.UniqueViolation) and error.diag.constraint_name in _RACES


def text_of(error: BaseException) -> str:
    """Return one line: the server's message without its details, or for each host why there is no connection."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    lines = str(error).splitlines()
    hosts = [_of_host(each.strip()) for each in lines if _ONE_OF_SEVERAL.match(each.strip())]
    return "; ".join(dict.fromkeys(hosts)) or _of_host(" ".join(str(error).split())) or type(error).__name__


def _of_host(line: str) -> str:
    host, port = "", ""
    if several := _ONE_OF_SEVERAL.match(line):
        host, port, line = several.groups()
    line = _PREFIX.sub("", _ADVICE.sub("", line))
    if failed := _OF_HOST.match(line):
        host, port, line = failed.groups()
    line = re.sub(r"^FATAL: +", "", line).replace(
        "server closed the connection unexpectedly", "the server closed the connection"
    )
    return f"{host}:{port}: {line}" if host else line
