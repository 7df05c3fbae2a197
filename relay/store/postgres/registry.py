"""A relay among those that share the database: its incarnation, and the claim tokens of that."""

import os
import socket
from datetime import datetime

from relay import __version__
from relay.store.claim_tokens import TOKENS, Tokens
from relay.store.postgres.connection import Transaction
from relay.store.postgres.migrate import newest
from relay.store.times import to_ms

_REGISTER = """
insert into relays as r (name, incarnation, host, pid, version, schema, started_at, seen_at)
values (%(name)s, nextval('relay_incarnations'), %(host)s, %(pid)s, %(version)s, %(schema)s, %(now)s, %(now)s)
on conflict (name) do update set incarnation = excluded.incarnation, host = excluded.host, pid = excluded.pid,
  version = excluded.version, schema = excluded.schema, started_at = excluded.started_at,
  seen_at = excluded.seen_at, beat = r.beat + 1, gone_at = null
returning incarnation
"""
_GIVE_BACK = """
update deliveries set claim = null, due_at = %(now)s
where state = 'pending' and claim is not null and claim >= %(first)s and claim < %(end)s
"""


class Registry:
    """Registered while `tokens` is set. A relay that is not registered claims nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokens: Tokens | None = None

    @property
    def incarnation(self) -> int | None:
        """The number of this process; None while it is not registered."""
        return self.tokens.last // TOKENS if self.tokens else None

    async def register(self, transaction: Transaction, now: datetime) -> None:
        """Become a new incarnation; what earlier ones of this name held is due at `now`: they are gone."""
        found = await transaction.rows("select incarnation from relays where name = %s for update", (self.name,))
        process = {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__, "schema": newest()}
        [(incarnation,)] = await transaction.rows(_REGISTER, {"name": self.name, "now": to_ms(now), **process})
        for (before,) in found:
            span = {"first": before * TOKENS, "end": (before + 1) * TOKENS}
            await transaction.rows(_GIVE_BACK, {"now": to_ms(now), **span})
        self.tokens = Tokens(incarnation)
