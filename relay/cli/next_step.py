"""A delivery and how things stand -> what is next for it, in words."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from relay.cli.output import length
from relay.model import Health, State
from relay.store.contract import DeliveryRecord, Status, TargetStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the future of a delivery depends on. `routed` are the targets there are; None if nobody knows."""

    now: datetime
    status: Status = field(default_factory=Status)
    routed: Collection[str] | None = None


def outlook(delivery: DeliveryRecord, scene: Scene) -> str:
    """What is next for it, or why it is dead; nothing more to say of the delivered."""
    if delivery.state is not State.PENDING:
        return delivery.why
    if scene.routed is not None and delivery.target not in scene.routed:
        return "parked: no such target now"
    running = scene.status.owner is not None
    standing = scene.status.targets.get(delivery.target, TargetStatus())
    if delivery.claimed and running:
        return _claimed(delivery, standing)
    if standing.pause:
        return "waits: the target is paused"
    if delivery.claimed:
        return "cut off; made again at the next start"
    if running and standing.condition and standing.condition.health is not Health.OK:
        return "waits: the target is held"
    return _when(delivery, scene.now)


def in_flight(delivery: DeliveryRecord, status: Status) -> bool | None:
    """Whether an attempt of it has been under way for a second or more; None if no daemon runs, which would say so."""
    if status.owner is None:
        return None
    condition = status.targets.get(delivery.target, TargetStatus()).condition
    return delivery.claimed and condition is not None and delivery.event_id in condition.slow


def _claimed(delivery: DeliveryRecord, standing: TargetStatus) -> str:
    """What the daemon says of it, once a second."""
    condition = standing.condition
    if condition and delivery.event_id in condition.slow:
        return f"attempt {delivery.attempt} is being made"
    if condition and condition.in_flight:
        return f"waits behind {condition.in_flight} in flight"
    return f"attempt {delivery.attempt} is next"


def _when(delivery: DeliveryRecord, now: datetime) -> str:
    if delivery.due_at is None:
        return "an older one goes first"
    if delivery.due_at <= now:
        return f"attempt {delivery.attempt + 1} is due"
    return f"attempt {delivery.attempt + 1} in {length(delivery.due_at - now)}"
