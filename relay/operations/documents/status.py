"""The state of targets, of intake and of the relays."""

from dataclasses import dataclass
from typing import Annotated

from relay.model import Health
from relay.operations.documents.marks import PERSONAL, REASON, AnyJson, Moment
from relay.store.records import Deaths, Disk, HealthReport, Pause, RelayStanding


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedDocument:
    """When a target was paused, by whom, and why."""

    at: Moment
    who: str
    reason: str


def paused_document(pause: Pause) -> PausedDocument:
    """The document of a pause."""
    return PausedDocument(at=pause.at, who=pause.who, reason=pause.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerDocument:
    """A circuit as a relay saw it at `as_of`; `error`: what the last attempt that failed returned.

    `probe_at`, when it may be probed next, `in_flight` and `rate` are null if no daemon runs: nothing is sent. `rate`:
    deliveries a second, within the last minute; `delivered_at`: the last one, also of an earlier daemon.
    """

    state: Health
    since: Moment
    as_of: Moment
    error: Annotated[str, REASON]
    probe_at: Moment | None
    in_flight: int | None
    delivered_at: Moment | None
    rate: float | None


def breaker_document(report: HealthReport, *, running: bool) -> BreakerDocument:
    """The document of a circuit."""
    return BreakerDocument(
        state=report.health,
        since=report.since,
        as_of=report.as_of,
        error=report.error,
        probe_at=report.probe_at if running else None,
        in_flight=report.in_flight if running else None,
        delivered_at=report.delivered_at,
        rate=report.rate if running else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathsDocument:
    """When the first and the last of a target's dead deliveries died, and why the last one did."""

    first_at: Moment
    last_at: Moment
    why: Annotated[str, REASON]


def deaths_document(deaths: Deaths) -> DeathsDocument:
    """The document of deaths."""
    return DeathsDocument(first_at=deaths.first_at, last_at=deaths.last_at, why=deaths.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDocument:
    """A target and its backlog; `in_routes` is null if there is no routes file that can be used.

    `deaths`: of those that `dead` counts; null if there are none.
    `breakers`: by the relay that sees it so, where several share the store; `breaker` is the worst of them. `idle`: a
    circuit is open only because no delivery comes to close it.
    """

    target: str
    pending: int
    dead: int
    deaths: DeathsDocument | None
    oldest_at: Moment | None
    paused: PausedDocument | None
    breaker: BreakerDocument | None
    breakers: dict[str, BreakerDocument]
    in_routes: bool | None
    idle: bool


# ---- intake


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionsDocument:
    """Requests that were rejected since the start of the daemon that received the last one."""

    count: int
    since: Moment | None
    last_at: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MisaddressedDocument(RejectionsDocument):
    """Those meant for us at a wrong address, and what the last one was."""

    address: str | None
    detail: Annotated[str | None, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnauthorizedDocument(RejectionsDocument):
    """Those with a wrong token, or for a source that there is not; who sent the last one."""

    detail: Annotated[str | None, PERSONAL]
    remote: Annotated[str | None, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeDocument:
    """What came. `lost`: at most so many webhooks that were answered 200 are missing.

    `unrouted`: stored events that no route took; 10001 if there are more than 10,000, which are not counted.
    """

    last_at: Moment | None
    unparsed: int
    unrouted: int
    misaddressed: MisaddressedDocument
    unauthorized: UnauthorizedDocument
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionDocument:
    """The webhook of a source in amoCRM; `state` is null before the first look, `guarded` false after a disconnect."""

    state: str | None
    since: Moment | None
    checked_at: Moment | None
    detail: str
    guarded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesDocument:
    """The names in the routes file: `as_of` when each account was asked, `outdated` ones, the routes they stop."""

    as_of: dict[str, Moment | None]
    outdated: tuple[str, ...]
    stopped_routes: dict[str, str]


# ---- the machine and the relays


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskDocument:
    """Where the store is; in bytes."""

    free: int
    total: int
    low: bool


def disk_document(disk: Disk) -> DiskDocument:
    """The document of a disk."""
    return DiskDocument(free=disk.free, total=disk.total, low=disk.scarce)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayDocument:
    """A relay; one that is gone is listed until its spool is known to be empty. `config` differs where routes do."""

    name: str
    host: str
    pid: int
    version: str
    since: Moment
    seen_at: Moment
    gone_at: Moment | None
    config: str
    spooled: int | None
    spooled_at: Moment | None


def relay_document(relay: RelayStanding) -> RelayDocument:
    """The document of a relay."""
    return RelayDocument(
        name=relay.name,
        host=relay.host,
        pid=relay.pid,
        version=relay.version,
        since=relay.since,
        seen_at=relay.seen_at,
        gone_at=relay.gone_at,
        config=relay.config,
        spooled=relay.spooled,
        spooled_at=relay.spooled_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDocument:
    """What keeps PostgreSQL from vacuuming, and since when."""

    by: str
    since: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDocument:
    """Everything as it was `at` an instant; `daemon` is the pid of one that runs.

    `files`: what was loaded and refused, as the relay `files_by` reports it; null if no daemon runs.
    """

    at: Moment
    targets: tuple[TargetDocument, ...]
    webhooks: IntakeDocument
    disk: DiskDocument | None
    daemon: int | None
    relays: tuple[RelayDocument, ...]
    files: AnyJson
    files_by: str
    oldest_snapshot: SnapshotDocument | None
    subscriptions: dict[str, SubscriptionDocument]
    names: NamesDocument | None

    @property
    def living(self) -> tuple[RelayDocument, ...]:
        """The relays that are not gone."""
        return tuple(each for each in self.relays if each.gone_at is None)

    @property
    def stranded(self) -> int:
        """The webhooks in spools of relays that are gone: nobody forwards them."""
        return sum(each.spooled or 0 for each in self.relays if each.gone_at is not None)

    @property
    def configs(self) -> int:
        """How many different routes the relays have that live; more than one: they deliver by different rules."""
        return len({each.config for each in self.living if each.config})
