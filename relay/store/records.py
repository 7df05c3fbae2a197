"""The values that a store takes and returns: frozen, and the same for every kind of store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias, TypeVar

from relay.model import Delivery, Health, Json, State, Webhook
from relay.model.subscription import GuardRecord

T = TypeVar("T")

SCARCE = 2 * 1024**3  # bytes
DROPPED = "dropped"  # why a delivery is dead whose target is gone for good
OLD = timedelta(minutes=5)  # of a snapshot: no transaction of a relay takes so long
LONGEST_BODY = 2**30  # bytes: neither SQLite nor PostgreSQL has a longer one


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The earlier webhook that an equal one repeats: its id, and how many events came of it."""

    webhook: str
    events: int


KeepResult: TypeAlias = list[Delivery] | Duplicate
"""What `keep` returns: the deliveries that were claimed at insert, or the webhook that this one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The earliest due time by target, and which targets are paused.

    `probes`: when a probe of a target was requested, which is sent at once if its circuit is open.
    """

    at: Mapping[str, datetime]
    paused: frozenset[str]
    probes: Mapping[str, datetime] = field(default_factory=dict)


# ---- the state of targets and relays


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How a running daemon saw a target at `as_of`: its health `since` then.

    `error`: what the last attempt that failed returned, empty once one did not fail; a target fails before its circuit
    opens.
    `delivered_at`: the last attempt that delivered, also of a process before; `rate`: how many did a second, within the
    last minute.
    `in_flight` counts the attempts under way; `slow` are the events of those that had taken over a second. `probe_at`:
    when a target whose circuit is open may be probed next.
    """

    health: Health
    since: datetime
    as_of: datetime
    error: str = ""
    in_flight: int = 0
    slow: frozenset[str] = frozenset()
    probe_at: datetime | None = None
    delivered_at: datetime | None = None
    rate: float = 0.0


_BEST_FIRST = (Health.OK, Health.PROBING, Health.OPEN)


def worst(reports: Iterable[HealthReport]) -> HealthReport | None:
    """Return the report of the relay that has most trouble with a target, and of those the newest."""
    order = {health: rank for rank, health in enumerate(_BEST_FIRST)}
    return max(reports, key=lambda each: (order.get(each.health, 0), bool(each.error), each.as_of), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """When a target was paused, by whom, and why."""

    at: datetime
    who: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """When the first and the last of some dead deliveries died, and why the last one did."""

    first_at: datetime
    last_at: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """The backlog of a target. `dead`: without reparsed and dismissed ones; `oldest_at`: arrival of its oldest pending.

    `deaths`: of those that `dead` counts, None if there are none.
    `condition`: as a relay sees it; where several share the store, as it is seen worst, and `conditions` by relay.
    """

    pending: int = 0
    dead: int = 0
    deaths: Deaths | None = None
    oldest_at: datetime | None = None
    pause: Pause | None = None
    condition: HealthReport | None = None
    conditions: Mapping[str, HealthReport] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AckGap:
    """Webhooks that were acknowledged with 200 and were missing from the store at `noticed_at`.

    `count`: how many at most, as some may have been purged before. Those of their deliveries that were made are made.
    `after`: arrival of the newest webhook that was still there. `relay`: whose spool lost them; empty if the store did.
    """

    count: int
    after: datetime | None
    noticed_at: datetime
    relay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the running daemon, or the last one, published at `as_of`; `relay`: its name, if several share the store."""

    as_of: datetime
    value: Json
    relay: str = field(default="", compare=False)


class Disk(NamedTuple):
    """The file system that a store is on: its bytes, and those that this process may still write."""

    total: int
    free: int

    @property
    def scarce(self) -> bool:
        """Whether somebody should make room."""
        return self.free < min(SCARCE, self.total // 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenSpool:
    """The spool of a relay that is gone, which nobody waits for any more: its webhooks, None if nobody knows."""

    relay: str
    host: str
    webhooks: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSnapshot:
    """What keeps a server from vacuuming what has changed `since` it was first seen. `holder`: `pid 4711 (psql)`."""

    holder: str
    since: datetime

    def is_old(self, now: datetime) -> bool:
        """Whether somebody should look after it."""
        return now - self.since >= OLD


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStanding:
    """A relay that owns the store, or part of it: since when, and when it gave the last sign of life.

    `name` stays over restarts; pid, version and `since` are those of its present process, or of the last one if it is
    gone: stopped, or declared dead, at `gone_at`. `config`: a digest of its routes, the same for the same routes.
    `spooled`: webhooks in its spool when it said so last, the oldest of which arrived at `spooled_at`; None if it is
    gone without having reported that its spool is empty.
    """

    name: str
    host: str
    pid: int
    version: str
    since: datetime
    seen_at: datetime
    config: str = ""
    gone_at: datetime | None = None
    spooled: int | None = 0
    spooled_at: datetime | None = None


COUNTED = 10_000
"""Unrouted events up to which they are counted: some ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of everything. `last_at` is the arrival of the newest webhook; of `relays` some may be gone.

    `unparsed`: without dismissed ones. `unrouted`: events that no route took, at most one more than `COUNTED`. `disk`:
    what the store is on, if it is a file. `reports`: by name, what was published last, by a relay that lives if there
    is one. `guards`: what is known of the webhooks in amoCRM, by source.
    """

    targets: Mapping[str, TargetStatus] = field(default_factory=dict)
    last_at: datetime | None = None
    unparsed: int = 0
    unrouted: int = 0
    relays: tuple[RelayStanding, ...] = ()
    losses: tuple[AckGap, ...] = ()
    disk: Disk | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)
    guards: Mapping[str, GuardRecord] = field(default_factory=dict)

    @property
    def owner(self) -> int | None:
        """The pid of a running daemon, None if none runs."""
        return self.living[0].pid if self.living else None

    @property
    def living(self) -> tuple[RelayStanding, ...]:
        """The relays that are not gone."""
        return tuple(each for each in self.relays if each.gone_at is None)

    @property
    def configs(self) -> int:
        """How many different routes the relays have that live; more than one: they deliver by different rules."""
        return len({each.config for each in self.living if each.config})

    @property
    def stranded(self) -> int:
        """The webhooks in spools of relays that are gone: nobody forwards them."""
        return sum(each.spooled or 0 for each in self.relays if each.gone_at is not None)

    @property
    def gone(self) -> int:
        """The relays that are gone and whose spools are not known to be empty."""
        return sum(each.gone_at is not None and each.spooled != 0 for each in self.relays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The rows of one table that were checked: how many, those without a checksum, and the ids of corrupt ones."""

    rows: int
    unmarked: int
    corrupt: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """What is wrong with a store: faults of its structure, corrupt rows by table, missing webhooks not accepted yet.

    `notes`: what was not looked at, and what the store's server should do.
    """

    structure: tuple[str, ...]
    contents: Mapping[str, Contents]
    losses: tuple[AckGap, ...]
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Nothing is corrupt and nothing is missing."""
        return not self.structure and not self.losses and not any(each.corrupt for each in self.contents.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupCopy:
    """What a copy holds: rows by table, its size in bytes, and the ids of what is corrupt in the store and so in it."""

    counts: Mapping[str, int]
    size: int
    corrupt: tuple[str, ...]


class Sizes(NamedTuple):
    """Bytes that the store takes, and bytes that are free where it is."""

    used: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """The spool of a relay that shares a store, and whether intake bypasses it: `direct`, `since` then, and `why`.

    `forwarding`: not direct, but the shared store commits what the spool has. `webhooks` wait in
    it, the oldest of which arrived at `oldest_at`; beside them are `refused`, which the shared store did not take.
    `size`: bytes of its files. `relay`: the name of the relay whose spool it is.
    """

    direct: bool
    since: datetime
    why: str
    forwarding: bool = False
    webhooks: int = 0
    oldest_at: datetime | None = None
    size: int = 0
    refused: int = 0
    relay: str = ""


# ---- what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries: all conditions that are given must hold. `since` is included, `until` is not.

    `source` and `account` (id or subdomain) are the webhook's. `reason` is that of the last attempt, a value of
    `Reason`. `settled_since`, `settled_until`: when it was delivered, or dead.
    `dismissed`: only those that are, or only those that are not; `dismissed_at`: at this instant. `replayed_since`,
    `replayed_until`: the last replay had it due then.
    """

    event_ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    target: str | None = None
    route: str | None = None
    entity: str | None = None
    action: str | None = None
    entity_id: str | None = None
    pipeline_id: str | None = None
    source: str | None = None
    account: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    settled_since: datetime | None = None
    settled_until: datetime | None = None
    dismissed: bool | None = None
    dismissed_at: datetime | None = None
    replayed_since: datetime | None = None
    replayed_until: datetime | None = None

    def of_events(self) -> "Filter":
        """Return it without what it says of deliveries."""
        return replace(
            self,
            states=(),
            target=None,
            route=None,
            reason=None,
            settled_since=None,
            settled_until=None,
            dismissed=None,
            dismissed_at=None,
            replayed_since=None,
            replayed_until=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt that was made. `verdict` is the value of a `VerdictName`."""

    number: int
    started_at: datetime
    took: timedelta
    verdict: str
    reason: str
    status: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery as it is now. `due_at` is set only while it waits for a time, `why` only if it is dead.

    A claimed one waits for no time: it is in flight, or next in the queue of a daemon. `healed`: no webhook told of its
    event, the account's feed did. `dismissed_at`: set only if it is dead, and no longer counted or alarmed about.
    `last`: the last attempt that was made; in listings, which have no `attempts`.
    """

    event_id: str
    entity: str
    action: str
    entity_id: str
    received_at: datetime
    target: str
    routes: tuple[str, ...]
    state: State
    claimed: bool
    attempt: int
    replays: int
    due_at: datetime | None
    settled_at: datetime | None
    why: str
    raw: bool = False
    healed: bool = False
    dismissed_at: datetime | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    last: AttemptRecord | None = None

    @property
    def type(self) -> str:
        """`leads.status`, or `unparsed` for a raw one."""
        return "unparsed" if self.raw else f"{self.entity}.{self.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event as stored: its JSON, and its deliveries. `corrupt`: the JSON fails its checksum."""

    id: str
    payload: bytes
    deliveries: tuple[DeliveryRecord, ...]
    corrupt: bool = False


class Page(list[T]):
    """Part of a listing, in its order. `next`: the opaque cursor of the next page; None at the end.

    `searched_to`: the look ended by its budget there, and nothing beyond that time was looked at.
    """

    def __init__(
        self, rows: Iterable[T] = (), *, next_: str | None = None, searched_to: datetime | None = None
    ) -> None:
        super().__init__(rows)
        self.next = next_
        self.searched_to = searched_to


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    """A webhook with its events and deliveries. `raw` has its raw deliveries, and no payload."""

    webhook: Webhook
    events: tuple[EventRecord, ...]
    raw: EventRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What an operator did: one audit entry for each `id`. The store fills in `count`."""

    id: str
    at: datetime
    who: str
    command: str
    details: Mapping[str, Json] = field(default_factory=dict)
    count: int = 0

    @property
    def asked(self) -> str:
        """`target=warehouse states=dead,delivered`."""
        return " ".join(f"{name}={_told(value)}" for name, value in self.details.items() if value not in EMPTY)


EMPTY: tuple[Json, ...] = ("", None, {}, [])


def _told(value: Json) -> Json:
    """`dead,delivered`, `leads.status:3,contacts.add:1`, `yes`."""
    match value:
        case list():
            return ",".join(map(str, value))
        case dict():
            return ",".join(f"{name}:{each}" for name, each in value.items())
        case bool():
            return "yes" if value else "no"
    return value
