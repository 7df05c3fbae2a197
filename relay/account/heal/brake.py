"""Lost records -> those that are healed at once, and those that wait until an operator approves.

A fault here or in the account must not flood the targets: there is a most for any 24 hours, and an action stops itself
if, with no outage known, more of its webhooks seem to be lost than amoCRM loses.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.model.heal import HealRecord, HealState, Span

OUTAGE, MISSING = "outage", "missing"
"""Why a webhook was lost: no relay ran, or amoCRM had switched it off for that; or nobody knows."""

LOST_AT_LEAST = 5
LOST_SHARE = 0.05
AROUND = timedelta(seconds=30)  # of an outage: the heartbeat's interval, and the time to start

_LOST = (HealState.HEALED, HealState.WAITING, HealState.WOULD_HEAL)


class Braked(NamedTuple):
    """What is healed now, and what waits."""

    healed: list[HealRecord]
    waiting: list[HealRecord]


def reason(record: HealRecord, outages: Iterable[Span]) -> str:
    """Why its webhook was lost: the change was in one of these outages, or nobody knows."""
    during = any(each.since - AROUND <= record.at <= each.until + AROUND for each in outages)
    return OUTAGE if during else MISSING


def brake(lost: Iterable[HealRecord], *, room: int, stopped: Collection[str]) -> Braked:
    """Divide; `room`: how many may still be healed, `stopped`: what may not. Approved ones always are."""
    found = Braked([], [])
    for record in lost:
        if record.approved:
            found.healed.append(record)
        elif webhook_type(record) in stopped or len(found.healed) >= room:
            found.waiting.append(record)
        else:
            found.healed.append(record)
    return found


def webhook_type(record: HealRecord) -> str:
    """`leads.status`: the type of webhook that would have reported it."""
    return record.key.partition(":")[0]


def stopped(lost: Collection[HealRecord], recent: Iterable[HealRecord], *, approved_at: datetime | None) -> set[str]:
    """That of which too much is lost; `recent`: what became of the events of the last hour that is settled.

    What is older than an approval does not count: an operator has seen it.
    """
    missing: Counter[str] = Counter()
    every: Counter[str] = Counter()
    counted = {(each.channel, each.event_id) for each in lost}
    others = [each for each in recent if (each.channel, each.event_id) not in counted]
    for is_lost, records in ((True, lost), (False, others)):
        for each in records:
            if approved_at is None or each.found_at > approved_at:
                every[webhook_type(each)] += 1
                missing[webhook_type(each)] += each.reason == MISSING and (is_lost or each.state in _LOST)
    return {name for name, number in missing.items() if number >= LOST_AT_LEAST and number > LOST_SHARE * every[name]}
