"""A record, and what is wanted -> whether it can be decided, and what it is decided to be. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from relay.account.heal.channels import ACCOUNT, parse
from relay.account.heal.scanner import begun_at
from relay.account.heal.wanted import Wanted
from relay.account.server_clock import ServerTime
from relay.model.heal import APPROVED, HORIZON, HealRecord, HealState, Span, StoredHook

SECOND = timedelta(seconds=1)
"""The feed's times have no parts of one: an event of this second may seem to be before an instant in it."""
TRIGGER_DELAYED = "webhooks of this trigger come too late: it has a delay"
MARGIN = timedelta(hours=1)
"""Between what is scanned and what the store has purged."""


def is_ready(record: HealRecord, wanted: Wanted, server: ServerTime) -> bool:
    """Whether every webhook that can report it has come."""
    if record.state is HealState.WAITING and not record.approved:
        return False
    if wanted.held_since is not None and record.at > wanted.held_since - SECOND:
        return False
    return record.at <= server.at - server.within - wanted.limits.of(record.channel).settle


def is_expired(record: HealRecord, server: ServerTime) -> bool:
    """Whether it is about to be purged, though it is not ready."""
    return record.at < server.at - HORIZON + MARGIN


def divided(
    records: Iterable[HealRecord], is_one: Callable[[HealRecord], bool]
) -> tuple[list[HealRecord], list[HealRecord]]:
    """Those that are, and those that are not."""
    parts: tuple[list[HealRecord], list[HealRecord]] = ([], [])
    for each in records:
        parts[not is_one(each)].append(each)
    return parts


def is_closed(record: HealRecord, closed: Iterable[Span]) -> bool:
    """Whether a person had switched the account's webhook off at that time, and nobody asks for it all the same."""
    of_account = parse(record.channel) is None
    return of_account and not record.approved and any(each.since - SECOND < record.at <= each.until for each in closed)


def is_judged(
    stored: StoredHook, wanted: Wanted, since: datetime, until: datetime, marks: Mapping[str, datetime]
) -> bool:
    """Whether the feed should have an event of a hook by now: its time is known, was scanned, and is not approved."""
    arrived, channel = stored.hook.arrived, stored.hook.channel
    begun = begun_at(marks, stored.hook.key.partition(":")[0] if channel == ACCOUNT else channel)
    if arrived is None or begun is None or not since <= arrived <= until:
        return False
    approved = APPROVED in marks and arrived <= marks[APPROVED]
    return not approved and arrived - wanted.limits.of(channel).reach >= begun


def unhealable(record: HealRecord, reason: str) -> HealRecord:
    """The record as one that cannot be healed."""
    return replace(record, state=HealState.UNHEALABLE, reason=reason, before=None, after=None)


def delayed_by_trigger(record: HealRecord) -> HealRecord:
    """The record as one that is not healed; with its values, for the delay may turn out to be none."""
    return replace(record, state=HealState.UNHEALABLE, reason=TRIGGER_DELAYED)


def waiting(record: HealRecord, reason: str) -> HealRecord:
    """The record as one that an operator has to approve."""
    return replace(record, state=HealState.WAITING, reason=reason)


def with_values(records: Iterable[HealRecord], shown: Iterable[HealRecord]) -> list[HealRecord]:
    """The records with the values of the feed's events: once a record is decided its own are dropped."""
    known = {(each.channel, each.event_id): each for each in shown}
    return [
        replace(each, before=found.before, after=found.after)
        if (found := known.get((each.channel, each.event_id)))
        else each
        for each in records
    ]
