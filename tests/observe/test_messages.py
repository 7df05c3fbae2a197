"""Every fact that has no series of its own -> its line, byte for byte, as alerts and runbooks cite it."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import pytest

from relay.signals import (
    AcceptFailed,
    AcksMissing,
    BacklogUnreadable,
    BatchDivided,
    CircuitClosed,
    CircuitOpened,
    ClaimLost,
    ClaimsReturned,
    ClientLockedOut,
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
    RawRoutingFailed,
    RelayDeclaredDead,
    RelayDisowned,
    RelayJoined,
    SharedStoreUnfit,
    Signal,
    SpansLost,
    SpoolLeft,
    SpoolRefused,
    SpoolSetAside,
    StoredLate,
    StoreGaveUp,
    TokenFetched,
    TokenNotRenewed,
    VacuumHeldBack,
    WalGrown,
)
from relay.signals.account import AccountSignal
from tests.observe.conftest import NOON, Observed, attempted

FACTS: list[Signal] = [
    ClientLockedOut(remote="192.0.2.7"),
    BacklogUnreadable(error="database is locked"),
    OperatorActed(command="replay", who="olga", count=12, asked="--target bot"),
    OperatorActed(command="purge", who="root", count=0, asked=None),
    ClockSet(by=timedelta(seconds=-3600.06)),
    CircuitOpened(target="bot", failures=10, probe_at=NOON, detail="5xx 503 busy"),
    CircuitOpened(target="bot", failures=None, probe_at=NOON, detail=""),
    CircuitClosed(target="bot", failures=None),
    CircuitClosed(target="bot", failures=None, detail="its settings were changed"),
    TokenFetched(target="bot", took=timedelta(milliseconds=80.04), life=timedelta(hours=1), detail=None),
    TokenFetched(target="bot", took=timedelta(milliseconds=80), life=None, detail="its expires_in is odd"),
    TokenNotRenewed(target="bot", detail="it answered 503"),
    ClaimLost(target="bot", event="e-1", attempt=2),
    BatchDivided(target="bot", webhook_id="b-1", deliveries=8, outcome=attempted(status=400, detail="no").outcome),
    BatchDivided(target="bot", webhook_id="b-2", deliveries=4, outcome=attempted(status=413).outcome),
    FileExposed(file="/etc/relay/routes.yaml", detail="mode 0644: chmod 600"),
    FileDetached(file="/etc/relay/routes.yaml", detail="was replaced where it is mounted from"),
    AcceptFailed(error="Too many open files"),
    ConnectionsScarce(detail="3000 of 1024"),
    SpansLost(spans=12, why="answered 503"),
    NotStored(webhooks=3),
    EventsNotStored(webhook="w-1", error="ValueError('x')"),
    StoredLate(webhooks=7),
    DecodeFailed(webhook="w-1", error="ValueError('x')"),
    RawRoutingFailed(webhook="w-1", error="ValueError('x')"),
    HooksNotIndexed(webhook="w-1", error="ValueError('x')"),
    WalGrown(pages=40000),
    VacuumHeldBack(by="pid 4711 (psql)", seconds=312),
    DiskSpaceChanged(level=DiskSpace.FULL, folder="/data", free=None),
    DiskSpaceChanged(level=DiskSpace.LOW, folder="/data", free=1_048_576),
    DiskSpaceChanged(level=DiskSpace.SCARCE, folder="/data", free=1_048_576),
    DiskSpaceChanged(level=DiskSpace.AMPLE, folder="/data", free=1_048_576),
    StoreGaveUp(error="disk I/O error"),
    PurgedEarly(webhooks=5),
    AcksMissing(at_most=2, after=NOON),
    RelayJoined(relay="3f2c", incarnation=7),
    RelayDeclaredDead(relay="3f2c"),
    RelayDisowned(),
    ClaimsReturned(claims=12, why="abandoned"),
    SpoolLeft(webhooks=12, file="/data/spool.db"),
    SpoolSetAside(file="/data/spool.db", to="/data/spool.db.damaged-1", error="it is corrupt"),
    SpoolRefused(webhook="w-1", error="ValueError('x')"),
    SharedStoreUnfit(error="fsync is off"),
]


@pytest.mark.parametrize(("written", "golden"), [("text", "messages.txt"), ("json", "messages.jsonl")])
def test_a_session_of_every_fact_is_logged_as_recorded(written: Literal["text", "json"], golden: str) -> None:
    observed = Observed(written)
    for fact in FACTS:
        observed.emit(fact)
    assert observed.lines() == (Path(__file__).parent / golden).read_text().splitlines()


COUNTED = {
    "WebhookStored", "DuplicateReceived", "Probed", "WebhookRejected", "Evicted", "Blocked", "Attempted", "Committed",
    "Claimed", "Purged", "PurgeStopped", "ConfigActivated", "Reloaded", "Notice", "Notified",
    "SpoolOpened", "SpoolingBegan", "SpoolingEnded", "SpoolForwarded", "TailKeptAgain",
}  # fmt: skip
"""Facts that test_observer.py is about."""
OF_ACCOUNTS = {each.__name__ for each in get_args(AccountSignal)}
"""Those of test_account.py and test_heal.py."""

OF_ACCOUNTS = {each.__name__ for each in get_args(AccountSignal)}
"""Facts that test_account.py is about."""


def test_every_fact_there_is_is_tested() -> None:
    assert {each.__name__ for each in get_args(Signal)} == COUNTED | OF_ACCOUNTS | {
        type(fact).__name__ for fact in FACTS
    }


def test_however_many_networks_guess_ten_lines_a_second_say_so(observed: Observed) -> None:
    for network in range(12):
        observed.emit(ClientLockedOut(remote=f"2001:db8:1:{network}::1"))
    observed.clock.now += 1
    observed.emit(ClientLockedOut(remote="2001:db8:1:c::1"))
    told = [line.partition("remote=")[2] for line in observed.lines()]
    assert told == [f"2001:db8:1:{network}::1" for network in range(10)] + ["2001:db8:1:c::1 held_back=2"]
