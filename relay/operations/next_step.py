"""A delivery and the state of its target -> what happens to it next, in words."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from relay.model import Health, State
from relay.operations.durations import length
from relay.store.records import DeliveryRecord, Status, TargetStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the next step of a delivery depends on. `routed`: the targets of the routes file, None if unknown."""

    now: datetime
    status: Status = field(default_factory=Status)
    routed: Collection[str] | None = None


def next_step(delivery: DeliveryRecord, situation: Situation) -> str:
    """Say what happens to a delivery next, or why it is dead; empty if it is delivered."""
    if delivery.state is not State.PENDING:
        return f"{delivery.why}, dismissed" if delivery.dismissed_at else delivery.why
    if situation.routed is not None and delivery.target not in situation.routed:
        return "orphaned: no such target now"
    running = situation.status.owner is not None
    target = situation.status.targets.get(delivery.target, TargetStatus())
    if delivery.claimed and running:
        return _claimed(delivery, target)
    if target.pause:
        return "target paused"
    if delivery.claimed:
        return "interrupted: retried at the next start"
    if running and target.condition and target.condition.health is not Health.OK:
        return "circuit open"
    return _due(delivery, situation.now)


def in_flight(delivery: DeliveryRecord, status: Status) -> bool | None:
    """Whether an attempt has been under way for a second or more; None if no daemon runs, which would report it."""
    if status.owner is None:
        return None
    report = status.targets.get(delivery.target, TargetStatus()).condition
    return delivery.claimed and report is not None and delivery.event_id in report.slow


def _claimed(delivery: DeliveryRecord, target: TargetStatus) -> str:
    """Say where a claimed delivery is, by what the daemon reports once a second."""
    report = target.condition
    if report and delivery.event_id in report.slow:
        return f"attempt {delivery.attempt} in flight"
    if report and report.in_flight:
        return f"queued behind {report.in_flight} in flight"
    return f"attempt {delivery.attempt} is next"


def _due(delivery: DeliveryRecord, now: datetime) -> str:
    if delivery.due_at is None:
        return "an older one goes first"
    if delivery.due_at <= now:
        return f"attempt {delivery.attempt + 1} is due"
    return f"attempt {delivery.attempt + 1} in {length(delivery.due_at - now)}"
