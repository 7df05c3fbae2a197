"""Commits, purges, disks and the relays that share a store, as `relay.store` announces them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeAlias

from relay.model import frozen


@frozen
class Committed:
    """The store's writer ended a transaction of `writes` writes."""

    writes: int
    took: timedelta


@frozen
class Claimed:
    """A claim of due deliveries has ended, of one target: how many there were, and how long it took."""

    target: str
    deliveries: int
    took: timedelta


@frozen
class VacuumHeldBack:
    """The server of the store could not vacuum for so long what has changed since: who holds it back."""

    by: str
    seconds: int


@frozen
class Purged:
    """Webhooks that had been kept long enough are gone: how many, by the ages of `Retention`."""

    counts: Mapping[str, int]
    took: timedelta


@frozen
class ClockSet:
    """The machine's wall clock was set forward `by` so much, or back if negative."""

    by: timedelta


@frozen
class RelayJoined:
    """Another relay shares the store from now on; it is another incarnation each time that it starts."""

    relay: str
    incarnation: int


@frozen
class RelayDeclaredDead:
    """Another relay is dead, for its heartbeat does not go on: this one has declared it so, and returns its claims."""

    relay: str


@frozen
class RelayDisowned:
    """Others have declared this relay dead: its claims are others', and it registers anew."""


@frozen
class ClaimsReturned:
    """So many claims that nobody held were returned: `abandoned` by a relay that lives no more, or `lost`.

    Lost: the answer to the transaction that made them did not come.
    """

    claims: int
    why: str


class DiskSpace(IntEnum):
    """Free space on the disk of the store, from none to enough."""

    FULL = 0
    LOW = 1
    SCARCE = 2
    AMPLE = 3


@frozen
class DiskSpaceChanged:
    """The free space crossed a limit; `free` bytes, or None if a write failed before anybody looked."""

    level: DiskSpace
    folder: str
    free: int | None


@frozen
class PurgeStopped:
    """What is to be deleted cannot be archived, so nothing is; `error` says why and where."""

    error: str


@frozen
class PurgedEarly:
    """So many delivered webhooks were deleted before their time, to make room on the disk."""

    webhooks: int


@frozen
class WalGrown:
    """The write-ahead log has so many pages: a long read keeps SQLite from starting it anew."""

    pages: int


@frozen
class AcksMissing:
    """At most so many webhooks that were answered 200 are not in the store, all later than `after`."""

    at_most: int
    after: datetime | None


@frozen
class StoreGaveUp:
    """The store cannot go on after this error; the relay stops."""

    error: str


@frozen
class BacklogUnreadable:
    """A scrape shows the backlog of the scrape before, for the store could not be read."""

    error: str


StoreSignal: TypeAlias = (
    Committed
    | Claimed
    | VacuumHeldBack
    | Purged
    | ClockSet
    | RelayJoined
    | RelayDeclaredDead
    | RelayDisowned
    | ClaimsReturned
    | DiskSpaceChanged
    | PurgeStopped
    | PurgedEarly
    | WalGrown
    | AcksMissing
    | StoreGaveUp
    | BacklogUnreadable
)
