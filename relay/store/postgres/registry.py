"""A relay among those that share the database: incarnations, heartbeats, and claims of owners that live no more.

A claim's owner is the high part of its token. An owner that is not registered as alive has no claims, whichever relay
declared it dead: sweeps read the list of the living, never one of the dead.
"""

import os
import secrets
import socket
from datetime import datetime
from typing import NamedTuple

from relay import __version__
from relay.errors import StoreUnsafe
from relay.store.claim_tokens import TOKENS, Tokens
from relay.store.postgres.beats import Beats
from relay.store.postgres.clock import NOW
from relay.store.postgres.connection import Statement, Transaction
from relay.store.postgres.migrate import newest
from relay.store.times import to_ms

ALIVE = """
exists (select from relays r where r.incarnation = %(incarnation)s and r.name = %(relay)s and r.gone_at is null)
"""
"""SQL: a claimer must be registered and alive in the same statement, or nothing would release the claim.

By its name, too: a standby that took over without having seen it register gives its number to another relay.
"""

_OF_NAME = "select incarnation, beat, gone_at, host, pid from relays where name = %s for update"
_REGISTER = """
insert into relays as r (name, incarnation, host, pid, version, schema, started_at, seen_at)
values (%(name)s, nextval('relay_incarnations'), %(host)s, %(pid)s, %(version)s, %(schema)s, %(now)s, %(now)s)
on conflict (name) do update set incarnation = excluded.incarnation, host = excluded.host, pid = excluded.pid,
  version = excluded.version, schema = excluded.schema, started_at = excluded.started_at,
  seen_at = greatest(r.seen_at, excluded.seen_at), beat = r.beat + 1, gone_at = null
returning incarnation
"""
_GIVE_BACK = """
update deliveries set claim = null, due_at = %(now)s
where state = 'pending' and claim is not null and claim >= %(first)s and claim < %(stop)s
"""
_GIVE_BACK_OWN = f"{_GIVE_BACK} and {ALIVE}"
_BEAT = f"""
with own as (
  update relays set beat = beat + 1, seen_at = greatest(seen_at, {NOW}), spooled = %(spooled)s,
    spooled_at = %(spooled_at)s, config = %(config)s
  where incarnation = %(incarnation)s and name = %(relay)s and gone_at is null
  returning incarnation)
select {NOW}, (select max(seen_at) from relays), left(pg_walfile_name(pg_current_wal_lsn()), 8),
  exists (select from own), r.name, r.incarnation, r.beat
from (select 1) one left join relays r on r.gone_at is null
"""
_DECLARE_DEAD = """
update relays set gone_at = %(now)s, spooled = case when spooled > 0 then spooled else -1 end
where incarnation = %(incarnation)s and beat = %(beat)s and gone_at is null
returning name
"""  # it may have spooled since: only a relay that leaves knows that its spool is empty
_LEAVE = """
update relays set gone_at = %(now)s, spooled = %(spooled)s, spooled_at = %(spooled_at)s
where incarnation = %(incarnation)s and name = %(relay)s and gone_at is null
"""
ABANDONED = """
with seen as materialized (
  select d.event, d.target, d.claim from deliveries d
  where d.state = 'pending' and d.claim is not null
    and not exists (select from relays r where r.incarnation = d.claim >> 40 and r.gone_at is null)),
abandoned as materialized (
  select d.event, d.target from seen join deliveries d using (event, target) where d.claim = seen.claim
  order by d.event, d.target for update of d skip locked)
update deliveries d set claim = null, due_at = %(now)s
from abandoned a where d.event = a.event and d.target = a.target
returning 1
"""
"""Gives back the claims of owners that are not registered and alive; their attempts count, as they may be made.

A relay that registers and claims meanwhile is not in the statement's snapshot: the claim that was seen must be there
still when the row is locked.
"""


class Owner(NamedTuple):
    """An incarnation, with the name of its relay: the parameters of `ALIVE`."""

    relay: str
    incarnation: int


NOBODY = Owner("", -1)


class Beat(NamedTuple):
    """What one heartbeat showed: the time, the last one that any relay has seen, and the relays that live."""

    now: int  # milliseconds, as is `newest`
    newest: int
    timeline: str  # of the server's write-ahead log: a standby that takes over begins a new one
    alive: bool  # this incarnation
    living: dict[int, str]  # incarnation -> name
    beats: dict[int, int]  # incarnation -> beat, of the others


class Registry:
    """The incarnations of this process. It is registered while `tokens` is set; else it claims nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokens: Tokens | None = None
        self._mine: set[int] = set()
        self._given: set[int] = set()  # beside `_mine` those of registrations that are not known to be committed
        self._rival = Beats()
        self.config = ""  # a digest of this relay's routes
        self._spooled: tuple[int | None, datetime | None] = 0, None

    @property
    def owner(self) -> Owner | None:
        """The present incarnation; None while it is not registered."""
        return Owner(self.name, self.tokens.last // TOKENS) if self.tokens else None

    def gave(self, token: int) -> bool:
        """Whether the claim token is one of this process, under whatever incarnation."""
        return token // TOKENS in self._mine

    def publish_spool(self, webhooks: int | None, oldest_at: datetime | None) -> None:
        """See `contract.SharedStore.publish_spool`."""
        self._spooled = webhooks, oldest_at

    async def register(self, transaction: Transaction, now: int, steady: float) -> Tokens:
        """Become a new incarnation; what earlier ones of this name held is due at `now`: they are gone.

        It counts once the transaction is committed: see `registered`. StoreUnsafe if another process has this name
        since; `steady` are monotonic seconds, by which it is watched.
        """
        found = await transaction.rows(_OF_NAME, (self.name,))
        for incarnation, beat, gone_at, host, pid in found:
            if gone_at is None and self._is_rival(incarnation, beat, steady):
                raise StoreUnsafe(
                    f"another relay has registered with the name of this one's spool (host {host}, pid {pid}): one"
                    " spool is a copy of the other. Stop one of the relays, or give it a spool of its own"
                )
        process = {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__, "schema": newest()}
        [(given,)] = await transaction.rows(_REGISTER, {"name": self.name, "now": now, **process})
        self._given.add(given)
        for before, *_ in found:
            await transaction.rows(_GIVE_BACK, _span(before, now))
        return Tokens(given, secrets.randbelow(TOKENS // 2))  # a number may be given out twice: see ALIVE

    def _is_rival(self, incarnation: int, beat: int, now: float) -> bool:
        """Two with one name would take their claims from each other for ever: the newer one works, while it beats."""
        newer = self._given and incarnation not in self._given and incarnation > max(self._given)
        return bool(newer) and incarnation not in self._rival.silent({incarnation: beat}, now)

    def registered(self, tokens: Tokens) -> None:
        """Claim with these tokens from now on."""
        self.tokens = tokens
        self._mine.add(tokens.last // TOKENS)

    def disown(self) -> None:
        """Claim nothing until registered anew."""
        self.tokens = None

    def heartbeat(self) -> Statement:
        """Return the statement of one beat; see `read`."""
        return _BEAT, {**(self.owner or NOBODY)._asdict(), "config": self.config, **self._spool()}

    def _spool(self) -> dict[str, int | None]:
        webhooks, oldest_at = self._spooled
        return {"spooled": -1 if webhooks is None else webhooks, "spooled_at": to_ms(oldest_at) if oldest_at else None}

    def read(self, rows: list[tuple[int, int, str, bool, str | None, int, int]]) -> Beat:
        """Return what the rows of `heartbeat` say."""
        now, newest_, timeline, alive = rows[0][:4]
        living = [(name, incarnation, beat) for *_, name, incarnation, beat in rows if name is not None]
        others = {incarnation: beat for name, incarnation, beat in living if name != self.name}
        return Beat(
            now, newest_ or now, timeline, alive, {incarnation: name for name, incarnation, _beat in living}, others
        )

    def leave(self, now: int) -> list[Statement]:
        """Return the statements that end this incarnation and give back what it holds; they tell of its spool."""
        if (owner := self.owner) is None:
            return []
        behind = now + 1  # what waits already goes first
        given_back = {**_span(owner.incarnation, behind), **owner._asdict()}
        return [(_GIVE_BACK_OWN, given_back), (_LEAVE, {"now": now, **owner._asdict(), **self._spool()})]


def declare_dead(incarnation: int, beat: int, now: int) -> Statement:
    """Return what declares a relay dead unless it has beaten since; the statement returns its name."""
    return _DECLARE_DEAD, {"now": now, "incarnation": incarnation, "beat": beat}


def _span(incarnation: int, now: int) -> dict[str, int]:
    return {"now": now, "first": incarnation * TOKENS, "stop": (incarnation + 1) * TOKENS}
