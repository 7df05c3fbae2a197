"""A decoded webhook -> its hooks: for each key of each event, the times of the feed that it can report."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.account.heal.channels import UPDATES, channel_of
from relay.account.heal.keys import DATED, Rule, body_time, keys_of
from relay.account.heal.limits import DRIFT, EARLY, REPEATS, WIDEST, Limits
from relay.model import Event, Webhook
from relay.model.heal import HORIZON, Hook

ONCE_WITHIN = timedelta(hours=24)
"""How long before its webhook an event with a key that occurs once may be: late ones are found by that key alone."""

_FRESH = timedelta(seconds=15)  # an update that arrives later after a change may be a repeat from before it
_ABOUT = timedelta(seconds=90)  # how far a repeat may be from its time
_AWRY = timedelta(hours=1)  # our clock against the account's, when nothing is known of it
_BEHIND = timedelta(minutes=5)  # how far the feed may be behind a key that occurs once


class ClockOffset(NamedTuple):
    """How much the account server's clock is ahead of ours, and how much that may be wrong."""

    offset: timedelta
    uncertainty: timedelta


def hooks_of(webhook: Webhook, events: Sequence[Event], *, limits: Limits, clock: ClockOffset | None) -> list[Hook]:
    """The hooks of a webhook. `clock`: None if the offset is not known, and its hooks then span more than they might.

    A wider span can hide a change that was lost; a narrower one would send a change twice.
    """
    arrived = webhook.received_at + clock.offset if clock else None
    found = []
    for item, event in enumerate(events):
        channel = channel_of(event, webhook.query)
        if channel is None:
            continue
        for each in keys_of(event, channel):
            at = body_time(event)
            reach = limits.of(channel).reach
            dated = event.entity in DATED
            since, until = _span(each.rule, at, webhook.received_at, clock, reach, dated=dated)
            of = UPDATES if each.rule is Rule.LEVEL else channel
            found.append(Hook(item, of, each.text, at, arrived, since, until))
    return found


def _span(
    rule: Rule, at: datetime | None, received: datetime, clock: ClockOffset | None, reach: timedelta, *, dated: bool
) -> tuple[datetime, datetime]:
    """The first and the last time of an event that a webhook can report."""
    around = clock.uncertainty if clock else _AWRY
    arrived = received + clock.offset if clock else received
    match rule:
        case Rule.ONCE:
            return arrived - max(reach, ONCE_WITHIN) - around, arrived + _BEHIND + around
        case Rule.UNDATED:
            return arrived - max(reach, ONCE_WITHIN) - around, arrived + HORIZON
        case Rule.BODY if at is not None:
            return at - WIDEST, at + WIDEST  # matching takes what is within the account's own drift
        case Rule.LEVEL if at is not None and (dated or (clock and _is_repeat(at, arrived))):
            return at - DRIFT, at + DRIFT
        case Rule.LEVEL:
            return arrived - _FRESH, arrived + EARLY + (clock.uncertainty if clock else _FRESH)
    return arrived - reach - around, arrived + EARLY + around


def _is_repeat(at: datetime, arrived: datetime) -> bool:
    """Whether an update came when amoCRM repeats a webhook: then it has the state from before what came with it."""
    return any(abs(arrived - at - after) <= _ABOUT for after in REPEATS)
