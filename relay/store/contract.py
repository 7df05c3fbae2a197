"""Store and Archive: what every store promises. The docstrings are the promises, and `tests/store` holds them.

Times are arguments, aware UTC, kept to the millisecond. Text that the store cannot hold (a lone surrogate, in some a
NUL) comes back with U+FFFD in its place, and is found by what was given. Every verb may raise `StoreBusy` (not done, or not known
to be done: repeat it with the same ids) and `StoreFailed` (stop).
"""

from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from relay.model import Delivery, Health, Json, Outcome, Retention, RoutedEvent, State, Verdict, Webhook

T = TypeVar("T")

SCARCE = 2 * 1024**3  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A webhook was here before: the id under which it was kept, and how many events came of it."""

    webhook: str
    events: int


KeepResult: TypeAlias = list[Delivery] | Duplicate
"""What came of a webhook that was to be kept: the deliveries born claimed, or that it repeats another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a daemon has to know all the time: the earliest due time by target, and which targets are paused.

    `probes`: which targets somebody wants to be asked at once if they are held, and since when.
    """

    at: Mapping[str, datetime]
    paused: frozenset[str]
    probes: Mapping[str, datetime] = field(default_factory=dict)


# ---- how things stand


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How a running daemon saw a target at `as_of`: `ok` or held (`open`, `probing`) `since` then, for that `error`.

    `in_flight` attempts were under way; `slow` are the events of those that were for over a second. `probe_at`: from
    when on an open target may be asked again.
    """

    health: Health
    since: datetime
    as_of: datetime
    error: str = ""
    in_flight: int = 0
    slow: frozenset[str] = frozenset()
    probe_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Since when a target is paused, who did it, and why."""

    at: datetime
    who: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """How one target stands. `dead` is without what is `reparsed`; `oldest_at`: when its oldest pending one arrived."""

    pending: int = 0
    dead: int = 0
    oldest_at: datetime | None = None
    pause: Pause | None = None
    condition: HealthReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AckGap:
    """Webhooks that were answered 200 and at `noticed_at` were not in the store any more, by the order of arrival.

    What had been delivered of them has been delivered. `after`: they came later than this one, which is still there.
    """

    first: int
    last: int
    after: datetime | None
    noticed_at: datetime

    @property
    def count(self) -> int:
        """How many there were; some may have been purged long before."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a running daemon, or the one before, said of itself at `as_of`."""

    as_of: datetime
    value: Json


class Disk(NamedTuple):
    """The file system that a store is on: its bytes, and those that this process may still write."""

    total: int
    free: int

    @property
    def scarce(self) -> bool:
        """Whether somebody should make room."""
        return self.free < min(SCARCE, self.total // 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStanding:
    """A relay that owns the store, or part of it, and lives: since when, and when it gave the last sign of life.

    `name` stays over restarts; pid, version and `since` are those of its present process.
    """

    name: str
    host: str
    pid: int
    version: str
    since: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of everything. `last_at` is the arrival of the newest webhook; `relays` are those that live.

    `disk`: what the store is on, if it is a file. `reports`: by name, what `publish` was given last.
    """

    targets: Mapping[str, TargetStatus] = field(default_factory=dict)
    last_at: datetime | None = None
    unparsed: int = 0
    relays: tuple[RelayStanding, ...] = ()
    losses: tuple[AckGap, ...] = ()
    disk: Disk | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)

    @property
    def owner(self) -> int | None:
        """The pid of a running daemon, None if none runs."""
        return self.relays[0].pid if self.relays else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The rows of one table that were checked: how many, those without a checksum, and the ids of corrupt ones."""

    rows: int
    unmarked: int
    corrupt: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """What is wrong with a store: faults of its structure, corrupt rows by table, missing webhooks not accepted yet."""

    structure: tuple[str, ...]
    contents: Mapping[str, Contents]
    losses: tuple[AckGap, ...]

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


# ---- what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries: all conditions that are given must hold. `since` is included, `until` is not."""

    event_ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    target: str | None = None
    route: str | None = None
    entity: str | None = None
    action: str | None = None
    entity_id: str | None = None
    pipeline_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


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
    """A delivery as it stands. `due_at` is None unless it waits for a time, `why` is said of the dead.

    A claimed one does not wait for the end of its lease: it is in flight, or its turn comes.
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
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def type(self) -> str:
        """`leads.status`, or `unparsed` for a raw one."""
        return "unparsed" if self.raw else f"{self.entity}.{self.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event as it was kept: its JSON, and what became of it. `damaged`: the JSON is not what was kept."""

    id: str
    payload: bytes
    deliveries: tuple[DeliveryRecord, ...]
    corrupt: bool = False


class Page(list[T]):
    """Part of a listing, in its order. `next`: the cursor that goes on after it, opaque; None if nothing follows."""

    def __init__(self, rows: Iterable[T] = (), *, next_: str | None = None) -> None:
        super().__init__(rows)
        self.next = next_


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    """A webhook with all that came of it. `raw` has its raw deliveries, and no payload."""

    webhook: Webhook
    events: tuple[EventRecord, ...]
    raw: EventRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What an operator did: the audit's line, one for each `id`. `count` is filled in by the store."""

    id: str
    at: datetime
    who: str
    command: str
    details: Mapping[str, Json] = field(default_factory=dict)
    count: int = 0

    @property
    def asked(self) -> str:
        """`target=warehouse states=dead,delivered`."""
        told = (
            (name, ",".join(map(str, value)) if isinstance(value, list) else value)
            for name, value in self.details.items()
        )
        return " ".join(f"{name}={value}" for name, value in told if value not in ("", None))


# ---- the promises


class Store(Protocol):
    """What a daemon needs.

    Only the holder of the present claim token can settle or release a delivery (fencing): `claim` and `keep` give the
    token out, a new one at each claim, never used twice, be it over a restart.
    """

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None = None,
        window: timedelta | None = None,
        dated: timedelta | None = None,
    ) -> Future[KeepResult]:
        """Done once the webhook, its events and their deliveries are on disk, all in one commit.

        The result are the deliveries born claimed. Kept twice under one id is kept once, and then nothing is
        claimed; but an unparsed webhook that is kept again with events gets them, and is unparsed no more: what is
        pending or dead of it raw is dead from then on with the reason `reparsed`.

        An unparsed webhook may be kept with one Routed that is `raw`, for its raw deliveries.
        Deliveries are due, and their policy begins, at `now`: the webhook's arrival unless given.

        With a `window` it is a Duplicate, and nothing is kept, if an equal webhook (source, query and body) arrived
        within `window` of it and was itself kept with one. Of two that come at once one is kept.

        `dated` is such a window for a webhook whose events carry times: within it, it is no Duplicate if, after the
        last one equal to it, a different body about the same entity was kept to the same source that is dated with
        the same second (`amocrm.dated.second`). So A, B and A within a second are three webhooks; a body that is
        dated later does not make the old one new.
        """
        ...

    def clock(self) -> datetime:
        """Return the time by which everything in the store is dated and falls due, aware UTC.

        If that clock is set, leases and due times have moved with it for every call that follows: no lease ends
        sooner for it, and nothing that waits is due later.
        """
        ...

    def share(self, target: str) -> tuple[int, int]:
        """Return which part of `target`'s concurrency and rate is this owner's: (1, 1) is all, (2, 3) one of three.

        Parts count from 1; no two owners that live have the same one for a target. It changes as owners come and go.
        """
        ...

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """At most `limit` due deliveries of `target`, the longest due first, each with its next attempt number.

        Nobody else gets them before `now + lease`. At least one comes if one is due; more only while their
        payloads stay within `max_bytes`. Of those that share a key only the oldest pending one is ever due.
        One whose payload is not what was kept any more is `damaged`.
        A pause is for whoever claims to respect; `due` tells of it.
        """
        ...

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[bool]:
        """Record the attempt and what follows; False if the claim token is not the present one.

        Then the delivery is untouched, and the attempt itself is recorded all the same. One that is not `counted` is
        recorded, but `policy_attempt` goes on as if it had not been made.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        """Give claimed deliveries back unattempted: due at once, their attempt not counted. Returns how many.

        Those whose token is not the present one are untouched.
        """
        ...

    async def due(self, targets: Sequence[str]) -> Due:
        """For each of `targets` that has unclaimed pending deliveries with a due time the earliest one.

        Beside it all pauses, and all wishes for a probe that nobody has met yet.
        """
        ...

    async def probed(self, wishes: Mapping[str, datetime]) -> None:
        """These wishes of `due` are met; one that was uttered later is not."""
        ...

    async def report(self, conditions: Mapping[str, HealthReport]) -> None:
        """How every target of the running daemon stands; replaces what was reported before."""
        ...

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        """What the running daemon says of itself under `name`, for `status`; replaces what it said before."""
        ...

    async def status(self) -> Status:
        """Every target that is paused, was reported, or has pending or dead deliveries, named by routes or not."""
        ...

    async def acts(self, after: str | None) -> tuple[str, list[AuditEntry]]:
        """Acts that are new or have grown since, in the order of their last change; and the cursor for the next call.

        With None there are none, only where to begin. Not more than a page of them at a time.
        """
        ...

    async def losses(self) -> Sequence[AckGap]:
        """What is missing, and not accepted yet."""
        ...

    async def show(self, id_: str) -> WebhookRecord | None:
        """The webhook that has this id, or has the event with this id; a unique start of an id is enough.

        What is not what was kept any more is `damaged`.
        """
        ...

    async def purge(
        self, retention: Retention, *, now: datetime, act: AuditEntry | None = None, dry_run: bool = False
    ) -> Mapping[str, int]:
        """Delete webhooks, with all that came of them, that were kept for longer; how many, by the ages of `retention`.

        One goes when each of its deliveries may, never while one is pending; it counts as dead if one of them is.
        In short transactions with pauses between them, so that webhooks that arrive come first; whoever stops
        waiting stops it.
        """
        ...

    async def probe(self) -> None:
        """Commit something, to see that it can be done."""
        ...

    async def close(self) -> None:
        """End after what was asked before; the store cannot be used again."""
        ...


class Archive(Store, Protocol):
    """What operators ask of a store and change in it, beside a running daemon. An act and its audit are one commit."""

    async def starting(self, start: str, *, limit: int) -> list[str]:
        """At most `limit` ids of webhooks that start so, or that have an event whose id does; in no order."""
        ...

    async def find(self, wanted: Filter, *, limit: int, before: str | None = None) -> Page[DeliveryRecord]:
        """At most `limit` deliveries, newest first, without their attempts; `before` a cursor, to page on.

        Like every listing, BadCursor for one that is none of its own. What is purged meanwhile makes no difference.
        """
        ...

    async def count(self, wanted: Filter, *, replayable: bool = False) -> Mapping[str, int]:
        """How many deliveries, by target; `replayable`: without those raw ones that `replay` leaves alone."""
        ...

    async def unparsed(self, *, limit: int, after: str | None = None) -> Page[Webhook]:
        """Unparsed webhooks, oldest first; `after` a cursor, to page on."""
        ...

    async def events(
        self, wanted: Filter, *, limit: int, after: str | None = None, unrouted: bool = False
    ) -> Page[EventRecord]:
        """Events, without their deliveries, oldest first; `after` a cursor, to page on.

        `unrouted`: only those that have none. What `wanted` says of deliveries (states, target, route) is not asked.
        """
        ...

    async def replay(self, wanted: Filter, act: AuditEntry, *, rate: float | None = None) -> int:
        """Dead and delivered ones among `wanted` become pending, their policy starts anew; how many.

        Of pending ones, if they are asked for, those that wait until after `act.at`; their targets, and those of
        whatever else is pending among `wanted`, are to be probed at once if they are held. Raw ones of a webhook that
        was read since stay as they are.

        They are due at `act.at` or, `rate` a second, one after another from then on, the oldest first.
        """
        ...

    async def reroute(self, routed: Sequence[RoutedEvent], act: AuditEntry, *, rate: float | None = None) -> int:
        """Those events that have no deliveries get theirs, as a replay; how many deliveries, due as `replay` says.

        Further calls with the same `act` go on where its last one ended.
        """
        ...

    async def pause(self, target: str, act: AuditEntry) -> bool:
        """Its deliveries wait until `resume`; False, and nothing changes, if it is paused already.

        `act.details["reason"]` says why.
        """
        ...

    async def resume(self, target: str, act: AuditEntry) -> bool:
        """Its deliveries go on; False, and nothing changes, if it was not paused."""
        ...

    async def reparse(self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry) -> bool:
        """An unparsed webhook gets these events, due at `act.at`, as `keep` has it; False if it is unparsed no more."""
        ...

    async def note(self, act: AuditEntry, count: int) -> None:
        """Audit an act that changes nothing here, like a backup; repeated, it is audited once."""
        ...

    async def accept_losses(self, act: AuditEntry) -> int:
        """They are told of no more; how many webhooks that is."""
        ...

    async def audit(self, *, limit: int) -> list[AuditEntry]:
        """The last acts, newest first."""
        ...


class OwnedStore(Archive, Protocol):
    """A store as its owner has it: with what it needs beside the daemon's own work."""

    def background(self, retention: Callable[[], Retention]) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what is to run for as long as the store is owned; `retention` is asked at each purge.

        One that ends, or raises, means that the store cannot go on. Whoever runs them cancels them before `close`.
        """
        ...

    def sizes(self) -> Sizes:
        """Return how large the store is now, and how much room it has."""
        ...

    def doubts(self) -> str | None:
        """Return why what is stored may not last, if that can be told of the place where it is."""
        ...
