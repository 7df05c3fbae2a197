"""Errors of psycopg and libpq -> what follows from them, and one line that says what happened."""

import re

import psycopg
from psycopg import errors

from relay.errors import StoreBusy

REPEAT = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable, errors.QueryCanceled)
"""The transaction is rolled back, the connection stays, and the next try may succeed."""

REFUSED = (
    psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex,
    errors.TooManyColumns, errors.TooManyArguments,
)  # fmt: skip
"""What is wrong with values: to repeat them is no use, and others are none the worse."""

BUGS = (
    errors.SyntaxError, errors.UndefinedParameter, errors.AmbiguousColumn, errors.DatatypeMismatch,
    errors.UndefinedFunction, errors.AmbiguousFunction, errors.IndeterminateDatatype, errors.CannotCoerce,
)  # fmt: skip
AWAY = (psycopg.Error, OSError, TimeoutError)
"""All others. The server is not there, or replies and refuses whatever it is asked, for want of a right or a table:
nothing is wrong with what was to be stored, so it waits until somebody mends the server. `failure_of` says which."""

_ROUTINES = ("21", "2F", "38", "39", "44", "45", "P0")
"""Classes of SQLSTATE that a trigger, a function or a view gives to a row: what the administrator made refuses it."""
_UNREACHABLE = ("08", "28", "3D", "53", "57P", "58", "25006", "25P")
"""SQLSTATEs, by their beginning, of a server that lets nobody in, goes down, or accepts no writes now."""

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


class Refused(StoreBusy):
    """A trigger refuses a row; its cause says why. To a caller that needs that row it is StoreBusy."""


def refused_by_routine(error: BaseException) -> bool:
    """Whether a trigger or the like refused a row, so that other rows may be taken."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_ROUTINES)


def failure_of(error: BaseException) -> str:
    """Return one line about a server that is away, or that replies and refuses."""
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    away = sqlstate is None or sqlstate.startswith(_UNREACHABLE)
    return f"PostgreSQL {'is away' if away else 'refuses'}: {text_of(error)}"


def cut_details(error: BaseException) -> None:
    """Have the error print as its message alone: its details quote the row, and so customers' data."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        error.args = (error.diag.message_primary,)


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
