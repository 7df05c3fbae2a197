"""GET /heal, POST /heal/approve, POST /guard/{source}/resume: what heals, and what waits for a person."""

from dataclasses import dataclass
from typing import Any

from relay.operations import heal, subscriptions
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """`source`: these alone; else every one that heals."""

    source: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSource:
    """The name of a source."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingDocument:
    """What `relay heal status --json` prints of each source."""

    sources: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedDocument:
    """So many events of the source are healed with the next scan."""

    source: str
    approved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardDocument:
    """The guard switches the webhook of the source on at its next look."""

    source: str
    resumed: bool


async def healing(desk: Desk, asked: Healing) -> HealingDocument:
    """Show what was found of each source that heals; NotFoundError for an unknown one."""
    found = await heal.report(desk.store, desk.config(), asked.source)
    return HealingDocument(sources=tuple(heal.view(each) for each in found))


async def approve(desk: Desk, asked: OneSource) -> ApprovedDocument:
    """Have the events that wait be healed with the next scan."""
    by, now = desk.asker.name, desk.now()
    number = await heal.approve(desk.store, desk.config(), asked.source, by=by, now=now)
    return ApprovedDocument(source=asked.source, approved=number)


async def resume(desk: Desk, asked: OneSource) -> GuardDocument:
    """Have the guard switch a webhook on, whoever switched it off; ConflictError if there is nothing to do."""
    await subscriptions.resume(desk.store, desk.config(), asked.source, by=desk.asker.name, now=desk.now())
    return GuardDocument(source=asked.source, resumed=True)


HEAL = Operation(
    name="heal",
    method="GET",
    path="/heal",
    role=Role.VIEWER,
    parameters=Healing,
    document=HealingDocument,
    run=healing,
    summary="Show what was healed, and what waits.",
)

HEAL_APPROVE = Operation(
    name="heal_approve",
    method="POST",
    path="/heal/approve",
    role=Role.OPERATOR,
    parameters=OneSource,
    document=ApprovedDocument,
    run=approve,
    summary="Let the events that wait be healed.",
)

GUARD_RESUME = Operation(
    name="guard_resume",
    method="POST",
    path="/guard/{source}/resume",
    role=Role.OPERATOR,
    parameters=OneSource,
    document=GuardDocument,
    run=resume,
    summary="Have the guard switch the webhook of a source on, once.",
)
