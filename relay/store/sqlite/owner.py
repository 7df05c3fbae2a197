"""Become the owner of a store: a new incarnation; what a dead owner held is due at once."""

import os
import socket
from datetime import datetime
from uuid import uuid4

import apsw

from relay import __version__
from relay.store.claim_tokens import Tokens
from relay.store.records import RelayStanding
from relay.store.sqlite.sql import rows
from relay.store.times import from_ms

RECOVERY = "update deliveries set claimed = 0, due_at = ? where state = 'pending' and claimed = 1"
"""Makes all claimed deliveries due: no owner holds them any more. Their attempt counts: it may have been made."""


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
