"""Register the owner of a store: a new incarnation, whose claim tokens no other ever uses."""

import os
import socket
from datetime import datetime
from uuid import uuid4

import apsw

from relay import __version__
from relay.store.records import RelayStanding
from relay.store.sqlite.sql import rows
from relay.store.sqlite.times import from_ms

TOKENS = 2**40  # of one incarnation: 34 years at 1,000 a second; and 8 million incarnations fit beside it

RECOVERY = "update deliveries set claimed = 0, due_at = ? where state = 'pending' and claimed = 1"
"""Makes all claimed deliveries due: no owner holds them any more."""


LOST = (
    "update deliveries set claimed = 0, due_at = pending_since, attempt = attempt - 1"
    " where state = 'pending' and claimed = 1 and claim between ? and ?"
)
"""Gives back what was claimed with tokens that nobody was given: the answer to their commit was lost."""


class Tokens:
    """Claim tokens of one incarnation. `last` is the newest one; used by the writer's thread alone."""

    __slots__ = ("last",)

    def __init__(self, incarnation: int) -> None:
        self.last = incarnation * TOKENS

    def new(self) -> int:
        """Return a number that was never a token before."""
        self.last += 1
        return self.last


def standing(cursor: apsw.Cursor, pid: int | None, now: datetime) -> tuple[RelayStanding, ...]:
    """Return the owner while its lock is held by process `pid`; none if that is None."""
    found = rows(cursor, "select name, host, version, started_at from relays") if pid is not None else []
    return tuple(
        RelayStanding(name=name, host=host, pid=pid or 0, version=version, since=from_ms(since), seen_at=now)
        for name, host, version, since in found
    )


def register(connection: apsw.Connection, now: int) -> Tokens:
    """Become the owner, in one transaction: deliveries claimed by the last incarnation are due at `now`."""
    connection.execute("begin immediate")
    try:
        incarnation = _incarnate(connection.cursor(), now)
        connection.execute(RECOVERY, (now,))
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    return Tokens(incarnation)


def _incarnate(cursor: apsw.Cursor, now: int) -> int:
    process = socket.gethostname(), os.getpid(), __version__, now
    found = rows(
        cursor,
        "update relays set incarnation = incarnation + 1, host = ?, pid = ?, version = ?, started_at = ?"
        " returning incarnation",
        process,
    )
    if not found:
        cursor.execute("insert into relays values (?, 1, ?, ?, ?, ?)", (uuid4().hex, *process))
    return found[0][0] if found else 1
