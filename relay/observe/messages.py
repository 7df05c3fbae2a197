"""A fact that is only logged -> its line: level, message, fields; `observer` has the texts of facts it also counts."""

from logging import ERROR, INFO, WARNING
from typing import TypeAlias

from relay.observe.attempt_line import MAX_DETAIL
from relay.observe.log import milliseconds
from relay.signals import (
    AcceptFailed,
    AcksMissing,
    BacklogUnreadable,
    BatchDivided,
    CircuitClosed,
    CircuitOpened,
    ClaimLost,
    ClaimsReturned,
    ClockSet,
    ConnectionsScarce,
    DecodeFailed,
    DiskSpace,
    DiskSpaceChanged,
    EventsNotStored,
    FileDetached,
    FileExposed,
    HooksNotIndexed,
    NotStored,
    OperatorActed,
    PurgedEarly,
    PurgeStopped,
    RawRoutingFailed,
    RelayDeclaredDead,
    RelayDisowned,
    RelayJoined,
    SharedStoreUnfit,
    Signal,
    SpansLost,
    SpoolLeft,
    SpoolOpened,
    SpoolRefused,
    SpoolSetAside,
    StoredLate,
    StoreGaveUp,
    TokenFetched,
    TokenNotRenewed,
    VacuumHeldBack,
    WalGrown,
)

Line: TypeAlias = tuple[int, str, dict[str, object]]

LINES: dict[type, tuple[int, str]] = {
    # ingest
    DecodeFailed: (ERROR, "webhook not readable: stored as unparsed"),
    RawRoutingFailed: (ERROR, "unparsed webhook not routable: stored without raw deliveries"),
    HooksNotIndexed: (ERROR, "webhook not indexed for healing: stored, its events may come once more as healed ones"),
    EventsNotStored: (ERROR, "events not storable: webhook retried as unparsed"),
    StoredLate: (INFO, "stored after replying 503"),
    NotStored: (WARNING, "not stored, and replied 503"),
    # store
    StoreGaveUp: (ERROR, "the store failed: the relay stops"),
    PurgeStopped: (ERROR, "nothing is purged: the archive cannot be written"),
    PurgedEarly: (WARNING, "delivered webhooks deleted early to free disk"),
    WalGrown: (WARNING, "the write-ahead log grows: a read of the database takes too long"),
    VacuumHeldBack: (WARNING, "an old transaction keeps PostgreSQL from vacuuming the store"),
    RelayJoined: (INFO, "another relay shares the store"),
    RelayDeclaredDead: (WARNING, "another relay is dead: its deliveries are due"),
    RelayDisowned: (WARNING, "declared dead by other relays: its deliveries are theirs, and it registers anew"),
    ClaimsReturned: (INFO, "claims returned"),
    # spool
    SpoolOpened: (INFO, "spool opened"),
    SpoolLeft: (WARNING, "webhooks stay in the spool: start the relay again, or `relay spool drain` the file"),
    SpoolSetAside: (ERROR, "spool set aside, and a new one begun"),
    SpoolRefused: (ERROR, "refused by the shared store: set apart in the spool"),
    SharedStoreUnfit: (ERROR, "the shared store cannot be used: webhooks are spooled"),
    # delivery
    CircuitOpened: (WARNING, "circuit open"),
    CircuitClosed: (INFO, "circuit closed"),
    TokenNotRenewed: (WARNING, "access token not renewed: the present one is still valid"),
    ClaimLost: (WARNING, "claim lost: the delivery is not settled by this attempt"),
    # daemon and listeners
    AcceptFailed: (ERROR, "cannot accept connections"),
    BacklogUnreadable: (WARNING, "cannot read the backlog for the metrics"),
    ConnectionsScarce: (WARNING, "too many connections to targets"),
    FileDetached: (WARNING, "newer versions of a file cannot arrive"),
    FileExposed: (WARNING, "the routes file is writable by others"),
    OperatorActed: (INFO, "done by an operator"),
    SpansLost: (WARNING, "spans lost: the collector does not take them"),
}
"""Facts whose line has their own fields, in their order."""

DISK_SPACE = {
    DiskSpace.FULL: (ERROR, "the disk is full: webhooks are rejected unless delivered ones make room"),
    DiskSpace.LOW: (WARNING, "the disk is almost full: delivered webhooks are deleted early"),
    DiskSpace.SCARCE: (WARNING, "the disk of the store has little free space"),
    DiskSpace.AMPLE: (INFO, "the disk of the store has free space again"),
}


def line(fact: Signal) -> Line:
    """The line of a fact that has no series of its own. The log leaves out a field that is None."""
    match fact:
        case ClockSet():
            return WARNING, "the clock was set", {"seconds": round(fact.by.total_seconds(), 1)}
        case DiskSpaceChanged():
            return *DISK_SPACE[fact.level], {"free": fact.free, "folder": fact.folder}
        case TokenFetched():
            fetched: dict[str, object] = {
                "target": fact.target,
                "ms": milliseconds(fact.took),
                "seconds": round(fact.life.total_seconds()) if fact.life else None,
                "detail": fact.detail,
            }
            return INFO, "access token fetched", fetched
        case BatchDivided(outcome=outcome):
            divided: dict[str, object] = {
                "target": fact.target,
                "webhook_id": fact.webhook_id,
                "batch": fact.deliveries,
                "reason": outcome.reason.value,
                "status": outcome.status,
                "ms": milliseconds(outcome.took),
                "detail": outcome.detail[:MAX_DETAIL] or None,
            }
            return INFO, "batch rejected: its halves are sent", divided
        case AcksMissing():
            missing: dict[str, object] = {
                "at_most": fact.at_most,
                "after": fact.after,
                "next": "runbook: Acknowledged webhooks missing",
            }
            return ERROR, "webhooks that were answered 200 are not in the store", missing
        case _:
            return *LINES[type(fact)], {name: getattr(fact, name) for name in fact.__dataclass_fields__}
