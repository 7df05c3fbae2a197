"""Signal -> what of it is news: a condition that begins or ends, or something that happened so many times. Pure.

A fact never has text of others: of an answer its reason and status, of a refused file the place and the problem.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from relay.model import Dead, Reason
from relay.model.heal import HealState
from relay.model.notify import Kind
from relay.model.subscription import SubscriptionState
from relay.signals import (
    Attempted,
    CircuitClosed,
    CircuitOpened,
    ConfigActivated,
    DiskSpace,
    DiskSpaceChanged,
    Reloaded,
    Signal,
    SpoolingBegan,
    SpoolingEnded,
    SpoolRefused,
    SpoolSetAside,
    WebhookStored,
)
from relay.signals.account import (
    AccountAsked,
    AccountBlocked,
    AccountGrantLost,
    AccountTokenEnds,
    AccountTokenRead,
    SourceScanned,
    SubscriptionChanged,
    SubscriptionReenabled,
)

MAX_PROBLEM = 200  # characters of the first problem of a file


class Topic(StrEnum):
    """What a fact is about. Of the first seven one holds or not, by subject; the others are counted."""

    TARGET = "target"
    DISK = "disk"
    SPOOL = "spool"
    GUARD = "guard"
    SILENCE = "silence"
    RELOAD = "reload"
    ACCOUNT = "account"
    DEAD = "dead"
    UNPARSED = "unparsed"
    HEALED = "healed"
    HEAL_WAITS = "heal_waits"
    HEAL_EXPIRED = "heal_expired"
    SPOOL_REFUSED = "spool_refused"
    SPOOL_LOST = "spool_lost"


class Change(StrEnum):
    """A condition was `RAISED` or `CLEARED`, or something `HAPPENED`."""

    RAISED = "raised"
    CLEARED = "cleared"
    HAPPENED = "happened"


_KINDS: Mapping[Topic, Kind] = {
    Topic.DISK: Kind.DISK,
    Topic.SPOOL: Kind.SPOOL,
    Topic.GUARD: Kind.GUARD,
    Topic.SILENCE: Kind.SILENCE,
    Topic.RELOAD: Kind.RELOAD,
    Topic.ACCOUNT: Kind.GUARD,
    Topic.DEAD: Kind.DEAD,
    Topic.UNPARSED: Kind.UNPARSED,
    Topic.HEALED: Kind.HEAL,
    Topic.HEAL_WAITS: Kind.HEAL,
    Topic.HEAL_EXPIRED: Kind.HEAL,
    Topic.SPOOL_REFUSED: Kind.SPOOL,
    Topic.SPOOL_LOST: Kind.SPOOL,
}

AccountSeen: TypeAlias = AccountAsked | AccountBlocked | AccountGrantLost | AccountTokenEnds | AccountTokenRead
"""Signals of the state of an account: `accounts` makes news of them."""

NEWS = frozenset(
    {
        AccountAsked, AccountBlocked, AccountGrantLost, AccountTokenEnds, AccountTokenRead, Attempted, CircuitClosed,
        CircuitOpened, ConfigActivated, DiskSpaceChanged, Reloaded, SourceScanned, SpoolRefused, SpoolSetAside,
        SpoolingBegan, SpoolingEnded, SubscriptionChanged, SubscriptionReenabled, WebhookStored,
    }
)  # fmt: skip
"""The signals that may be."""

OWN = frozenset({Topic.TARGET, Topic.DISK, Topic.SPOOL, Topic.RELOAD, Topic.SPOOL_REFUSED, Topic.SPOOL_LOST})
"""What is one relay's own, and not in the database that several share."""
DATABASE_COUNTS = frozenset({Topic.DEAD, Topic.UNPARSED})
"""What each relay counts, and one of them tells for all."""


def kind_of(topic: Topic, change: Change) -> Kind:
    """The word of the routes file for it."""
    if topic is Topic.TARGET:
        return Kind.TARGET_CLOSED if change is Change.CLEARED else Kind.TARGET_OPEN
    return _KINDS[topic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """`subject`: a target, a source, an account, a file, or nothing.

    `count`: how often it happened. `values`: for the text.
    """

    topic: Topic
    subject: str
    change: Change
    at: datetime
    count: int = 0
    values: Mapping[str, str] = field(default_factory=dict)


def facts_of(signal: Signal, now: datetime) -> tuple[Fact, ...]:
    """Return what of a signal is news; nothing of most."""
    match signal:
        case Attempted(verdict=Dead()):
            values = why(signal.outcome.reason.value, signal.outcome.status)
            return (_happened(Topic.DEAD, signal.delivery.target, now, 1, values),)
        case WebhookStored() if signal.webhook.unparsed is not None:
            return (_happened(Topic.UNPARSED, signal.webhook.source, now, 1),)
        case CircuitOpened():
            values = {**_of_circuit(signal.detail), **({"failures": str(signal.failures)} if signal.failures else {})}
            return (Fact(topic=Topic.TARGET, subject=signal.target, change=Change.RAISED, at=now, values=values),)
        case CircuitClosed():
            return (Fact(topic=Topic.TARGET, subject=signal.target, change=Change.CLEARED, at=now),)
        case DiskSpaceChanged():
            return (_disk(signal, now),)
        case Reloaded():
            return _reloaded(signal, now)
        case SpoolingBegan():
            return (Fact(topic=Topic.SPOOL, subject="", change=Change.RAISED, at=now),)
        case SpoolingEnded():
            values = {"forwarded": str(signal.forwarded)}
            return (Fact(topic=Topic.SPOOL, subject="", change=Change.CLEARED, at=now, values=values),)
        case SpoolRefused():
            return (_happened(Topic.SPOOL_REFUSED, "", now, 1),)
        case SpoolSetAside():
            return (_happened(Topic.SPOOL_LOST, "", now, 1, {"file": signal.to}),)
        case SubscriptionChanged():
            return _subscription(signal, now)
        case SubscriptionReenabled():
            values = {"reenabled": "yes"}
            return (Fact(topic=Topic.GUARD, subject=signal.source, change=Change.CLEARED, at=now, values=values),)
        case SourceScanned():
            return _scanned(signal, now)
    return ()


def _happened(topic: Topic, subject: str, now: datetime, count: int, values: Mapping[str, str] | None = None) -> Fact:
    return Fact(topic=topic, subject=subject, change=Change.HAPPENED, at=now, count=count, values=values or {})


# ---- targets

_REASONS = "|".join(sorted((re.escape(each) for each in Reason), key=len, reverse=True))
_CIRCUIT = re.compile(
    rf"(?P<asked>asked by Retry-After to wait [0-9]+ s: )?(?P<why>{_REASONS})(?: (?P<status>[0-9]{{3}}))?\b"
)


def why(reason: str, status: int | str | None) -> Mapping[str, str]:
    """`4xx` and 400 -> what a text says of an outcome: the status alone if there is one."""
    return {"why": str(status) if status else reason}


def _of_circuit(detail: str) -> dict[str, str]:
    """Take reason and status out of a circuit's detail, whose rest is the target's own text."""
    found = _CIRCUIT.match(detail)
    if not found:
        return {}
    return {**why(found["why"], found["status"]), **({"asked": "yes"} if found["asked"] else {})}


# ---- what is this relay's own


def _disk(signal: DiskSpaceChanged, now: datetime) -> Fact:
    change = Change.CLEARED if signal.level is DiskSpace.AMPLE else Change.RAISED
    values = {"level": signal.level.name.lower()}
    if signal.free is not None:
        values["free"] = str(signal.free)
    return Fact(topic=Topic.DISK, subject="", change=change, at=now, values=values)


def _reloaded(signal: Reloaded, now: datetime) -> tuple[Fact, ...]:
    """Of each of the three parts whether it is refused; the subject is the part."""
    parts = {
        "routes": signal.problems,
        "certificate": signal.certificate_problems,
        "access": signal.access_problems,
    }
    facts = []
    for part, problems in parts.items():
        if problems:
            more = len(problems) - 1
            first = problems[0].removeprefix(signal.file.rpartition("/")[0] + "/")
            values = {"problem": first[:MAX_PROBLEM], **({"more": str(more)} if more else {})}
            facts.append(Fact(topic=Topic.RELOAD, subject=part, change=Change.RAISED, at=now, values=values))
        elif part in signal.activated:
            facts.append(Fact(topic=Topic.RELOAD, subject=part, change=Change.CLEARED, at=now))
    return tuple(facts)


# ---- amoCRM

_WELL = frozenset({None, SubscriptionState.OK, SubscriptionState.API_AWAY})
"""API_AWAY says nothing of the webhook, which is as it was before."""


def _subscription(signal: SubscriptionChanged, now: datetime) -> tuple[Fact, ...]:
    if signal.state not in _WELL and signal.state is not signal.before:
        values = {"state": signal.state.value}
        return (Fact(topic=Topic.GUARD, subject=signal.source, change=Change.RAISED, at=now, values=values),)
    if signal.state is SubscriptionState.OK and signal.before not in _WELL:
        return (Fact(topic=Topic.GUARD, subject=signal.source, change=Change.CLEARED, at=now),)
    return ()


def _scanned(signal: SourceScanned, now: datetime) -> tuple[Fact, ...]:
    counts = {
        Topic.HEALED: _number(signal, HealState.HEALED),
        Topic.HEAL_WAITS: _number(signal, HealState.WAITING),
        Topic.HEAL_EXPIRED: signal.expired,
    }
    return tuple(_happened(topic, signal.source, now, count) for topic, count in counts.items() if count)


def _number(signal: SourceScanned, state: HealState) -> int:
    return sum(each.number for each in signal.verdicts if each.state is state)
