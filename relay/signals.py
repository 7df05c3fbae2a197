"""Facts that stages announce, in place of counting and logging: `observe` makes metrics and log lines of them.

A stage is given an `Emit` and calls it; it neither counts nor logs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

from relay.account_signals import AccountSignal
from relay.model import Delivery, Outcome, RoutedEvent, Verdict, Webhook, frozen
from relay.model.event_names import EventNames


class Rejection(StrEnum):
    """Why a request was rejected. `MISADDRESSED` was meant for us, `STRANGER` was not (scanners, health checks)."""

    UNAUTHORIZED = "unauthorized"
    MISADDRESSED = "misaddressed"
    STRANGER = "stranger"
    ACCOUNT = "refused_account"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"
    INCOMPLETE = "incomplete"


@frozen
class WebhookStored:
    """A webhook is on disk with what came of it, so many `deliveries` in all, and its 200 is due.

    `took`: from its receipt; `commit` of that, from the call of the store, in plain seconds: only spans read it, and a
    timedelta for each webhook would cost relays without spans.
    """

    webhook: Webhook
    routed: Sequence[RoutedEvent]
    deliveries: int
    took: timedelta
    commit: float = 0.0


@frozen
class DuplicateReceived:
    """A webhook was kept before, as `first`, and its 200 is due; nothing more was kept of it, or of `routed`.

    `took`, `commit`: see `WebhookStored`.
    """

    webhook: Webhook
    first: str
    took: timedelta
    routed: Sequence[RoutedEvent] = ()
    commit: float = 0.0


@frozen
class Probed:
    """Somebody who is not amoCRM posted an empty body to a source with the right token; nothing is kept."""

    source: str
    remote: str


@frozen
class WebhookRejected:
    """A request was turned away. `source` is `-` unless the token was right.

    `address`: method and path of one that is `MISADDRESSED`, masked: `POST /***/hooks/crm/***`.
    """

    source: str
    reason: Rejection
    detail: str
    remote: str
    took: timedelta
    address: str = ""


@frozen
class Evicted:
    """A connection was closed, for there were too many: accepted, or its last 2xx sent, `after` ago."""

    after: timedelta


@frozen
class Blocked:
    """The event loop came back `late`: nobody was answered and nothing sent meanwhile."""

    late: timedelta


@frozen
class Attempted:
    """An attempt was made, and recorded in the store. `lag`: arrival to its end; None if the claim was lost."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    lag: timedelta | None


@frozen
class ClaimLost:
    """An attempt is recorded, and its delivery untouched: the claim token was no longer the present one."""

    target: str
    event: str
    attempt: int


@frozen
class BatchDivided:
    """A request with several `deliveries` was rejected in a way that one of them may have caused: each half goes again.

    It is an attempt of none of them. `webhook_id`: the one that the request had.
    """

    target: str
    webhook_id: str
    deliveries: int
    outcome: Outcome


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


class Endpoint(NamedTuple):
    """How and where a target is sent to; host and port are None if a secret stands for one of them."""

    method: str
    host: str | None = None
    port: int | None = None


@frozen
class ConfigActivated:
    """The names that count from now on: those of the routes file in use.

    `endpoints`: of each target. `names`: what amoCRM calls the things in events. `receivers`: of notifications.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    routes: Sequence[str]
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    accounts: Sequence[str] = ()
    names: EventNames = field(default_factory=lambda: EventNames({}))
    receivers: Sequence[str] = ()


@frozen
class Reloaded:
    """A reload ended: routes, certificate and access file were each activated, or left as before because of problems.

    `problems` of the routes. `activated`: some of "routes", "certificate", "access". `orphaned`: targets that have
    pending deliveries and are in the routes no more. `warnings`: files whose newer versions cannot arrive.
    """

    file: str
    problems: Sequence[str] = ()
    certificate_problems: Sequence[str] = ()
    access_problems: Sequence[str] = ()
    activated: Sequence[str] = ()
    orphaned: Sequence[str] = ()
    warnings: Sequence[str] = ()


@frozen
class EventsNotStored:
    """The store failed on the events of one webhook; it is stored once more as unparsed."""

    webhook: str
    error: str


@frozen
class DecodeFailed:
    """Decoding a webhook raised something unexpected: a bug of ours. The webhook is stored as unparsed."""

    webhook: str
    error: str


@frozen
class RawRoutingFailed:
    """Matching an unparsed webhook raised something unexpected: a bug of ours. It is stored without deliveries."""

    webhook: str
    error: str


@frozen
class HooksNotIndexed:
    """Indexing what a webhook tells of raised something unexpected: a bug of ours. It is stored, and may be healed."""

    webhook: str
    error: str


@frozen
class StoredLate:
    """So many webhooks were committed after their 503, and none is left uncommitted. They have no `WebhookStored`."""

    webhooks: int


@frozen
class NotStored:
    """The relay stops, and so many webhooks, all answered 503, are not in the store."""

    webhooks: int


@frozen
class CircuitOpened:
    """A target failed too often or asked for a pause: only a probe is sent to it, from `probe_at` on.

    `failures`: attempts in a row that failed, None if none did. `detail`: the outcome of the last one.
    """

    target: str
    failures: int | None
    probe_at: datetime | None
    detail: str


@frozen
class CircuitClosed:
    """A circuit closed: every delivery may be sent to it. `detail`: why, if it is not that the target answered."""

    target: str
    failures: int | None
    detail: str | None = None


@frozen
class TokenFetched:
    """An access token of a target was fetched; `life`: how long it is used, None if until a 401.

    `detail`: what was odd about the answer.
    """

    target: str
    took: timedelta
    life: timedelta | None
    detail: str | None


@frozen
class TokenNotRenewed:
    """The access token of a target ends soon, and no other could be fetched; `detail`: why."""

    target: str
    detail: str


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
class SpoolOpened:
    """The relay named `relay` has a spool, in which so many webhooks are to be forwarded."""

    file: str
    relay: str
    webhooks: int


@frozen
class SpoolLeft:
    """The relay has stopped with so many webhooks in its spool, which nobody else has."""

    webhooks: int
    file: str


@frozen
class SpoolSetAside:
    """A spool could not be opened, for this `error`; it was renamed `to`, and a new one begun."""

    file: str
    to: str
    error: str


@frozen
class SpoolingBegan:
    """Webhooks go to the spool from now on, and with them those `under_way` to the shared store: they are hedged."""

    why: str
    under_way: int


@frozen
class SpoolingEnded:
    """The spool is empty, and webhooks go to the shared store again; so many were `forwarded` meanwhile."""

    why: str
    took: timedelta
    forwarded: int


@frozen
class SpoolForwarded:
    """The shared store has committed so many webhooks of the spool."""

    webhooks: int


@frozen
class TailKeptAgain:
    """So many of the newest webhooks were missing from the shared store at a new connection, and are stored again."""

    webhooks: int
    of: int


@frozen
class SpoolRefused:
    """The shared store refuses a webhook, also without its events; it stays in the spool, set apart."""

    webhook: str
    error: str


@frozen
class SharedStoreUnfit:
    """The shared store cannot be used, though its server replies; webhooks are spooled."""

    error: str


@frozen
class BacklogUnreadable:
    """A scrape shows the backlog of the scrape before, for the store could not be read."""

    error: str


@frozen
class ClientLockedOut:
    """An address sent too many wrong admin tokens: for a minute only the right one is accepted from it."""

    remote: str


@frozen
class AcceptFailed:
    """A connection could not be accepted: no descriptors, or no memory."""

    error: str


@frozen
class FileExposed:
    """Users other than the relay's can read or change the routes file or a secret; `detail` says which and how."""

    file: str
    detail: str


@frozen
class FileDetached:
    """The mount of a watched file shows an old version: newer ones cannot arrive."""

    file: str
    detail: str


@frozen
class ConnectionsScarce:
    """Targets may open more connections at once than the process has descriptors for."""

    detail: str


@frozen
class SpansLost:
    """A collector did not take so many spans; not emitted again for each of those that follow."""

    spans: int
    why: str


@frozen
class OperatorActed:
    """An operator did something beside the daemon, as the audit has it. Emitted again once `count` has grown."""

    command: str
    who: str
    count: int
    asked: str | None


@frozen
class Notified:
    """A notification was sent to this receiver of the routes file, or not; `outcome`: see `notify.receivers.reply`.

    `lines`: how many it has, or how many were given up. `detail`: what the receiver answered, if it did not take it.
    """

    receiver: str
    outcome: str
    lines: int
    detail: str


@frozen
class Notice:
    """What is logged once in the life of a process, and never counted: it starts, stops, or has a bug."""

    level: str
    text: str
    fields: dict[str, object]


Signal: TypeAlias = (
    WebhookStored
    | DuplicateReceived
    | Probed
    | WebhookRejected
    | Evicted
    | Blocked
    | Attempted
    | ClaimLost
    | BatchDivided
    | Committed
    | Claimed
    | Purged
    | ConfigActivated
    | Reloaded
    | EventsNotStored
    | DecodeFailed
    | RawRoutingFailed
    | HooksNotIndexed
    | StoredLate
    | NotStored
    | CircuitOpened
    | CircuitClosed
    | TokenFetched
    | TokenNotRenewed
    | ClockSet
    | RelayJoined
    | RelayDeclaredDead
    | RelayDisowned
    | ClaimsReturned
    | DiskSpaceChanged
    | PurgeStopped
    | PurgedEarly
    | WalGrown
    | VacuumHeldBack
    | AcksMissing
    | StoreGaveUp
    | SpoolOpened
    | SpoolLeft
    | SpoolSetAside
    | SpoolingBegan
    | SpoolingEnded
    | SpoolForwarded
    | TailKeptAgain
    | SpoolRefused
    | SharedStoreUnfit
    | BacklogUnreadable
    | ClientLockedOut
    | AcceptFailed
    | FileExposed
    | FileDetached
    | ConnectionsScarce
    | SpansLost
    | OperatorActed
    | Notified
    | Notice
    | AccountSignal
)
Emit: TypeAlias = Callable[[Signal], None]
