"""What every store promises, one small protocol for each consumer; `tests/store` holds each promise of the docstrings.

Times are arguments, aware UTC, stored to the millisecond. Text that the store cannot hold (a lone surrogate, in some
stores a NUL) comes back with U+FFFD in its place, and is found by what was given. Cursors are opaque.

Every verb may raise `StoreFailed` (stop) and `StoreBusy`: not committed, or not known to be. After that it may be
repeated with the same ids, tokens and audit entry, whether or not the first call was committed. The result is that of
the repeated call. Deliveries that the first call claimed are given back, once.
"""

from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from relay.model import Delivery, Json, Outcome, Retention, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.store.archive import ArchiveFolder
from relay.store.enrich_contract import EnrichQuestions
from relay.store.enrich_contract import EnrichStore as EnrichStore
from relay.store.erasure_contract import ErasureStore as ErasureStore
from relay.store.guard_contract import GuardStore as GuardStore
from relay.store.heal_contract import HealQuestions
from relay.store.heal_contract import HealStore as HealStore
from relay.store.question_contract import QuestionStore as QuestionStore
from relay.store.records import (
    AckGap,
    AuditEntry,
    DeliveryRecord,
    Due,
    EventRecord,
    Filter,
    HealthReport,
    KeepResult,
    OldSnapshot,
    Page,
    Sizes,
    SpoolState,
    Status,
    WebhookRecord,
)
from relay.store.requests import KeepRequest, Settlement

CLOSED = "the store is closed"
"""What StoreFailed says of a call made after `close`."""


class IngestStore(Protocol):
    """What intake needs."""

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None = None,
        window: timedelta | None = None,
        dated: timedelta | None = None,
        hooks: Sequence[Hook] = (),
    ) -> Future[KeepResult]:
        """Commit a webhook, its events and their deliveries in one transaction; done once they are on disk.

        Returns the deliveries that are claimed at insert: those with a lease, unless an older one of their key is
        pending. They may come back unclaimed at any time, as when this process does not own the store. Deliveries are
        due, and their retry policy begins, at `now`: the webhook's arrival unless given.

        A webhook kept twice under one id is stored once, and the second call claims nothing. But an unparsed one that
        is kept again with events gets them, and is unparsed no more: its raw deliveries that are pending or dead are
        dead from then on with the reason `reparsed`. An unparsed webhook may be kept with one RoutedEvent that is
        `raw`, for its raw deliveries.

        With a `window` it is a Duplicate, and nothing is stored, if an equal webhook (source, query and body) arrived
        within `window` of it and was itself kept with a window. Of two that come at once one is stored.

        `dated` is such a window for a webhook whose events carry times: within it, it is no Duplicate if, after the
        last one equal to it, a different body about the same entity was kept from the same source that is dated with
        the same second (`amocrm.change_times.changed_at`). So A, B and A within a second are three webhooks; a body
        that is dated later does not make the old one new.

        `hooks` are indexed with the webhook. If one tells of an event that was healed (`HealStore.record_heal`), and of
        which no hook has come yet, it is late: that record becomes `LATE_HOOK`, and of the deliveries planned for the
        hook's item only those are made that are `if_late`. A hook is spent once, and so is a record.
        """
        ...

    def keep_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        """Keep several webhooks, in their order, each with all promises of `keep`, for one message instead of many.

        `on_replies` is called once, in the event loop and not before this returns, with a reply for each in their
        order: the result of its `keep`, or the exception that it would raise. One that cannot be kept, for a fault or
        for want of room, does not hold up the others.
        """
        ...


class DeliveryStore(Protocol):
    """What the delivery of a daemon needs: a queue with leases.

    Only the holder of the present claim token can settle or release a delivery (fencing). `claim` and `keep` give the
    token out: a new number at each claim, never used twice, not by another owner and not after a restart. What an
    owner held is due at once when the next one of its name opens the store; the end of a lease is only the backstop.
    """

    @property
    def enrichments(self) -> EnrichStore:
        """What was fetched beside events; nothing of it is used without a target that asks for it."""
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

    def owns(self) -> bool:
        """Return whether attempts may begin of what was claimed; if not, others may have claimed it by now.

        As in a process that stood still, or is cut off from the store: until it has heard from the store again.
        """
        ...

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """Claim at most `limit` due deliveries of `target`, longest due first, each with its next attempt number.

        Nobody else gets them before `now + lease`. At least one is returned if one is due; no more follow once their
        payloads have reached `max_bytes`, so the last one may exceed it. Of those that share a key only the oldest
        pending one is ever due, also after concurrent inserts. One whose payload fails its checksum is `corrupt`. A
        pause does not prevent claims: the caller respects it, as `due` reports it. A process that does not own the
        store gets none.
        """
        ...

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[bool]:
        """Record the attempt and what follows; False if the claim token is not the present one.

        Then the delivery is untouched, and the attempt itself is recorded all the same, unless its delivery was purged.
        One that is not `counted` is recorded, but `policy_attempt` goes on as if it had not been made.
        """
        ...

    def settle_many(
        self,
        settlements: Sequence[Settlement],
        on_replies: Callable[[Sequence[bool | Exception]], object],
        *,
        may_wait: bool = False,
    ) -> None:
        """Settle several deliveries, in their order, each as by `settle`; `on_replies`: see `keep_many`.

        With `may_wait` they may be committed some milliseconds later, together with what is stored next.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        """Give claimed deliveries back unattempted: due at once, their attempt not counted. Returns how many.

        Those whose token is not the present one are untouched.
        """
        ...

    async def due(self, targets: Sequence[str]) -> Due:
        """Return the earliest due time of the unclaimed pending deliveries of each of `targets` that has some.

        Beside it all pauses, and all requests for a probe that are not fulfilled yet.
        """
        ...

    async def fulfil_probes(self, requested: Mapping[str, datetime]) -> None:
        """Mark these requests of `due` as fulfilled by this owner; one made later than the time given stays."""
        ...

    async def publish_health(self, conditions: Mapping[str, HealthReport]) -> None:
        """Replace the health of all targets as this daemon sees it."""
        ...

    async def published_health(self) -> Mapping[str, HealthReport]:
        """Return what was published last, by an earlier daemon too; of several living ones the worst health."""
        ...

    async def show(self, id_: str) -> WebhookRecord | None:
        """Return the webhook that has this id, or has the event with it; a unique start of an id is enough.

        What fails its checksum is `corrupt`.
        """
        ...


class MaintenanceStore(Protocol):
    """What a daemon does beside intake and delivery."""

    async def probe(self) -> None:
        """Commit something, to see that it can be done."""
        ...

    def leads(self) -> bool:
        """Return whether this process does what one relay alone may do; at most one of those that live has True.

        It changes as owners come and go. Nobody leads for some seconds then, and while the store is away.
        """
        ...

    async def losses(self) -> Sequence[AckGap]:
        """Return the acknowledged webhooks that are missing and not accepted yet."""
        ...

    async def purge(
        self,
        retention: Retention,
        *,
        now: datetime,
        act: AuditEntry | None = None,
        dry_run: bool = False,
        archive: ArchiveFolder | None = None,
    ) -> Mapping[str, int]:
        """Delete webhooks past their retention, with all that came of them; count them by the ages of `retention`.

        With an `archive` only what is in it is deleted: ArchiveFailed if that cannot be written. What a purge that was
        killed had archived, and not deleted, is archived again.

        One is deleted when each of its deliveries may be, never while one is pending; it counts as dead if one of
        them is. Transactions are short, with pauses between them, so that webhooks that arrive come first; to cancel
        the call stops it. What healing knows is deleted after `heal.HORIZON`, and not counted.
        """
        ...

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        """Replace the daemon's report of this name, for `status`."""
        ...

    async def audit_changes(self, after: str | None) -> tuple[str, list[AuditEntry]]:
        """Return the audit entries that are new or have grown since, by their last change, and the next cursor.

        At most a page of them. With None there are none, only the cursor to begin at.
        """
        ...

    async def status(self) -> Status:
        """Return the state of every target that is paused, was reported, or has pending or dead deliveries.

        Whether the routes name it or not.
        """
        ...


class OperationsStore(Protocol):
    """What operators ask and do, beside a running daemon. An act and its audit entry are one commit."""

    @property
    def erasure(self) -> ErasureStore:
        """How the data of a person is erased."""
        ...

    @property
    def healing(self) -> HealQuestions:
        """What operators ask and do about healing."""
        ...

    @property
    def enrichments(self) -> EnrichQuestions:
        """What was fetched beside events."""
        ...

    @property
    def questions(self) -> QuestionStore:
        """What operators ask beside listings: attempts, the story of an object, what was refused."""
        ...

    def clock(self) -> datetime:
        """See `DeliveryStore.clock`; acts are dated by it, and `act.at` is a time of it."""
        ...

    async def give_way(self) -> None:
        """Wait until no commit is under way, some ms at most: for work that others' webhooks should not wait for."""
        ...

    async def status(self) -> Status:
        """See `MaintenanceStore.status`."""
        ...

    async def show(self, id_: str) -> WebhookRecord | None:
        """See `DeliveryStore.show`."""
        ...

    async def purge(
        self,
        retention: Retention,
        *,
        now: datetime,
        act: AuditEntry | None = None,
        dry_run: bool = False,
        archive: ArchiveFolder | None = None,
    ) -> Mapping[str, int]:
        """See `MaintenanceStore.purge`."""
        ...

    async def starting(self, start: str, *, limit: int) -> list[str]:
        """Return at most `limit` ids of webhooks that start so, or that have an event whose id does; in no order."""
        ...

    async def find(
        self, wanted: Filter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[DeliveryRecord]:
        """Return at most `limit` deliveries with their last attempts, by arrival, newest first; `before` is a cursor.

        The one look-up by entity; it finds what was committed just now. Like every listing it raises BadCursor for a
        cursor of another one, and what is purged meanwhile makes no difference. `budget`: see `question_contract`.
        """
        ...

    async def count(self, wanted: Filter, *, replayable: bool = False) -> Mapping[str, int]:
        """Count deliveries by target; `replayable`: without the raw ones that `replay` leaves alone."""
        ...

    async def unparsed(
        self, *, limit: int, after: str | None = None, dismissed: bool = False, most: int | None = None
    ) -> Page[Webhook]:
        """Return unparsed webhooks that are not dismissed, or those that are, oldest first; `after` is a cursor.

        `most`: of each body only so many bytes are read (`Webhook.cut_from`).
        """
        ...

    async def webhooks(
        self,
        *,
        limit: int,
        max_bytes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> Page[WebhookRecord]:
        """Return webhooks that arrived from `since` on and before `until`, oldest first; `after` is a cursor.

        With all that came of each. No more follow once their bodies have reached `max_bytes`.
        """
        ...

    async def events(
        self,
        wanted: Filter,
        *,
        limit: int,
        after: str | None = None,
        unrouted: bool = False,
        budget: timedelta | None = None,
    ) -> Page[EventRecord]:
        """Return events without their deliveries, by arrival, oldest first; `after` is a cursor, `budget` as of `find`.

        `unrouted`: only those that have no delivery, without what was healed before it came. What `wanted` says of
        deliveries is ignored.
        """
        ...

    async def replay(self, wanted: Filter, act: AuditEntry, *, rate: float | None = None) -> int:
        """Make dead and delivered deliveries among `wanted` pending, with a new retry policy; return how many.

        Of pending ones, if `wanted` names that state, those that wait until after `act.at`; a probe is requested of
        their targets, and of those of everything else that is pending among `wanted`. Raw ones of a webhook that was
        read since stay as they are.

        They are due at `act.at` or, `rate` a second, one after another from then on, the oldest first.
        """
        ...

    async def reroute(
        self, routed: Sequence[RoutedEvent], act: AuditEntry, *, rate: float | None = None, missing: bool = False
    ) -> int:
        """Plan the deliveries of those events that have none, as a replay; return how many, due as in `replay`.

        `missing`: also of events that have some, those to targets that the event has no delivery to. Of an event that
        was healed before its webhook came only those are planned that are `if_late`, however long ago that was.
        Further calls with the same `act` go on where its last one ended.
        """
        ...

    async def reroutable(self, routed: Sequence[RoutedEvent], *, missing: bool = False) -> Mapping[str, int]:
        """Count by target the deliveries that `reroute` would plan now; nothing is changed."""
        ...

    async def drop(self, target: str, act: AuditEntry) -> int:
        """Make what is pending for the target dead, with the reason `DROPPED`, and dismissed; return how many.

        Also what is claimed: an attempt under way is recorded, and settles nothing. What is kept for the target after
        this call has begun stays pending.
        """
        ...

    async def dismiss(self, wanted: Filter, act: AuditEntry) -> int:
        """Dismiss dead deliveries among `wanted`; return how many. A replay ends it.

        Dismissed ones are not counted in `status`. What is dead as reparsed never is, and is left alone.
        """
        ...

    async def dismiss_unparsed(self, ids: Sequence[str], act: AuditEntry) -> int:
        """Dismiss those of the webhooks with these ids that are unparsed; return how many. Reading them ends it."""
        ...

    async def pause(self, target: str, act: AuditEntry) -> bool:
        """Hold the target's deliveries back until `resume`; False, and nothing changes, if it is paused already.

        `act.details["reason"]` says why.
        """
        ...

    async def resume(self, target: str, act: AuditEntry) -> bool:
        """End a pause; False, and nothing changes, if there is none."""
        ...

    async def reparse(
        self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook] = ()
    ) -> bool:
        """Give an unparsed webhook these events, due at `act.at`, as `keep` does; False if it is unparsed no more."""
        ...

    async def record_audit(self, act: AuditEntry, count: int) -> None:
        """Audit an act that changes nothing here, like a backup; repeated, it is audited once."""
        ...

    async def end_sessions(self, act: AuditEntry) -> None:
        """Replace the key of the console's cookies (`session_key`): those issued before are no longer valid."""
        ...

    async def accept_losses(self, act: AuditEntry) -> int:
        """Report missing webhooks no more; return how many that are."""
        ...

    async def audit(
        self,
        *,
        limit: int,
        before: str | None = None,
        id_: str | None = None,
        who: str | None = None,
        command: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[AuditEntry]:
        """Return the last audit entries that fit all that is given, newest first: from `since` on, before `until`."""
        ...


class Store(IngestStore, DeliveryStore, MaintenanceStore, Protocol):
    """What a daemon needs."""

    @property
    def healing(self) -> HealStore:
        """What healing needs; nothing of it is used without an account in the routes file."""
        ...

    async def close(self) -> None:
        """End after the calls made before; those made later raise StoreFailed."""
        ...


class Archive(Store, OperationsStore, Protocol):
    """All verbs of a store."""

    @property
    def guard(self) -> GuardStore:
        """What it keeps for the guard of subscriptions."""
        ...

    @property
    def healing(self) -> HealStore:
        """See `Store.healing`."""
        ...


class OwnedStore(Archive, Protocol):
    """A store as its owner has it: with what it needs beside the daemon's own work."""

    def background(
        self, retention: Callable[[], Retention], archive: Callable[[], ArchiveFolder | None] = lambda: None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what is to run for as long as the store is owned; `retention` and `archive` are asked at each purge.

        One that ends, or raises, means that the store cannot go on. The caller cancels them before `close`.
        """
        ...

    def sizes(self) -> Sizes:
        """Return how large the store is now, and how much room it has."""
        ...

    def oldest_snapshot(self) -> OldSnapshot | None:
        """Return what has kept the store's server from vacuuming for longest, as of a moment ago; None: nothing."""
        ...

    def doubts(self) -> str | None:
        """Return why what is stored may not last, if the place where it is tells."""
        ...

    def publish_config(self, digest: str) -> None:
        """Report the digest of this relay's routes with the next heartbeat, for `status`, if relays share the store."""
        ...

    def spool(self) -> SpoolState | None:
        """Return the state of the spool before the store; None if there is none."""
        ...


class SharedStore(OwnedStore, Protocol):
    """A store that several relays share, on a server that may be away: what a spool needs of it beside its verbs.

    Webhooks are committed in the order of the calls: after one that is StoreBusy all that were called before that reply
    are StoreBusy as well. Only `ready` makes an intake connection: while there is none, and until the store is
    `registered`, `keep`, `keep_many`, `probe` and the verbs here are StoreBusy. One webhook alone is refused, with
    another exception, only for its own values, never for what would befall every one.
    """

    @property
    def connections(self) -> int:
        """How many intake connections were made so far; each may have led to another server, which lacks webhooks."""
        ...

    @property
    def registered(self) -> bool:
        """Whether this process owns what it claims, by an incarnation that lives, and has the server's clock."""
        ...

    async def ready(self) -> None:
        """Connect intake, check durability, migrate, register; does nothing of it that is done.

        Raises StoreUnsafe, ConfigurationError or StoreBusy.
        """
        ...

    async def missing(self, ids: Sequence[str]) -> set[str]:
        """Return the ids among these of webhooks that are not stored, by the server of the intake connection."""
        ...

    async def forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult | Exception]:
        """Keep webhooks, in their order, in a transaction that writes a row even if it finds all of them stored.

        Without that write a commit proves nothing: it need not wait for a synchronous standby. Returns for each the
        result of its `keep`, or the exception of one that is refused alone; raises StoreBusy if not all are known to
        be committed.
        """
        ...

    async def unconfirmed_erasures(self) -> Sequence[str]:
        """Return the acts of erasure that this relay has not confirmed for its spool, the oldest first."""
        ...

    async def confirm_erasures(self, acts: Sequence[str]) -> None:
        """Record that the spool of this relay holds nothing of what these acts have erased."""
        ...

    async def record_losses(self, gaps: Sequence[AckGap]) -> None:
        """Record the webhooks that this relay's spool has lost; a gap that is recorded already is not again."""
        ...

    def publish_spool(self, webhooks: int | None, oldest_at: datetime | None) -> None:
        """Report with the next heartbeat, and at `close`, how many webhooks are in this relay's spool, for `status`.

        None: it is not known. A relay that is gone is listed until its spool is known to be empty.
        """
        ...
