"""GET /heal, POST /heal/runs, /heal/approve, POST /guard/{source}/resume: what heals, and what waits for a person."""

from dataclasses import dataclass

from relay.operations import heal, subscriptions
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.heals import ApprovedDocument, GuardDocument, HealingDocument, HealRunDocument
from relay.operations.documents.marks import Moment
from relay.rfc3339 import rfc3339

NONE_RUNS = "no relay runs: the next one that starts does it; see relay heal status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """`source`: these alone; else every one that heals."""

    source: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSource:
    """The name of a source."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRun:
    """Look once more at the changes of a source from `since` on; `dry_run`: only say what would be healed."""

    source: str
    since: Moment
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRunOf:
    """The id of a scan."""

    id: str


async def healing(desk: Desk, asked: Healing) -> HealingDocument:
    """Show what was found of each source that heals; NotFoundError for an unknown one."""
    found = await heal.report(desk.store, desk.config(), asked.source)
    return HealingDocument(sources=tuple(heal.document(each) for each in found))


async def heal_run(desk: Desk, asked: HealRun) -> HealRunDocument:
    """Ask the relay that heals for a scan: it does it within a minute or two, see `healed`."""
    details = {"source": asked.source, "since": rfc3339(asked.since), "dry_run": asked.dry_run}
    act = desk.act("heal run", details)
    found = await heal.request(
        desk.store, desk.config(), asked.source, asked.since, dry_run=asked.dry_run, act=act
    )  # fmt: skip
    lives = bool((await desk.store.status()).living)
    return HealRunDocument(id=found.id, source=found.source, waits_for="" if lives else NONE_RUNS)


async def healed(desk: Desk, asked: HealRunOf) -> HealRunDocument:
    """Show what came of a scan, once the relay has done it; NotFoundError for one that is not of late."""
    found = await heal.requested(desk.store, asked.id)
    answer = dict(found.answer) if found.answer is not None else None
    error = str(answer.pop("error", "")) if answer else ""
    return HealRunDocument(id=found.id, source=found.source, answer=answer, error=error)


async def approve(desk: Desk, asked: OneSource) -> ApprovedDocument:
    """Have the events that wait be healed with the next scan."""
    act = desk.act("heal approve", {"source": asked.source})
    number = await heal.approve(desk.store, desk.config(), asked.source, act)
    return ApprovedDocument(source=asked.source, approved=number)


async def resume(desk: Desk, asked: OneSource) -> GuardDocument:
    """Have the guard switch a webhook on, whoever switched it off; ConflictError if there is nothing to do."""
    act = desk.act("guard resume", {"source": asked.source})
    await subscriptions.resume(desk.store, desk.config(), asked.source, act)
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

HEAL_RUN = Operation(
    name="heal_run",
    method="POST",
    path="/heal/runs",
    role=Role.OPERATOR,
    parameters=HealRun,
    document=HealRunDocument,
    run=heal_run,
    summary="Have the running relay look once more at what happened since.",
)

HEALED = Operation(
    name="healed",
    method="GET",
    path="/heal/runs/{id}",
    role=Role.VIEWER,
    parameters=HealRunOf,
    document=HealRunDocument,
    run=healed,
    summary="Show what came of a scan that was asked for.",
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
