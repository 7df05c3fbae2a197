"""PUT and DELETE /targets/{target}/pause, `relay pause`, `relay resume`: a target's deliveries wait, or go on."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.errors import ConflictError, NotFoundError
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.targets import PauseDocument
from relay.routes.diagnostics import quoted, suggestion
from relay.store.records import Filter

MAX_REASON = 500  # characters: it is stored, and shown in one line


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """`reason`: for whoever reads `relay status` or `relay audit`."""

    target: str
    reason: Annotated[str, Meta(max_length=MAX_REASON, description="For whoever reads the status or the audit.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """The target to resume."""

    target: str


async def pause(desk: Desk, asked: Pause) -> PauseDocument:
    """Stop new attempts at a target until `resume`.

    NotFoundError for a name that neither the routes in force nor the store knows: a mistyped name would pause nothing,
    and nobody would notice.
    """
    await _demand_known(desk, asked.target)
    act = desk.act("pause", {"target": asked.target, "reason": asked.reason})
    return PauseDocument(target=asked.target, paused=True, changed=await desk.store.pause(asked.target, act))


async def resume(desk: Desk, asked: Resume) -> PauseDocument:
    """Let attempts go on; ConflictError if the target is not paused, NotFoundError as for `pause`."""
    if not await desk.store.resume(asked.target, desk.act("resume", {"target": asked.target})):
        await _demand_known(desk, asked.target)
        raise ConflictError(f"{asked.target} is not paused: see relay status")
    return PauseDocument(target=asked.target, paused=False, changed=True)


async def _demand_known(desk: Desk, target: str) -> None:
    known = {*desk.routed(), *(await desk.store.status()).targets}
    if target not in known and not await desk.store.find(Filter(target=target), limit=1):
        raise NotFoundError(f"no target {quoted(target)} {suggestion(target, sorted(known))}")


PAUSE = Operation(
    name="pause",
    method="PUT",
    path="/targets/{target}/pause",
    role=Role.OPERATOR,
    parameters=Pause,
    document=PauseDocument,
    run=pause,
    summary="Pause deliveries to a target.",
)

RESUME = Operation(
    name="resume",
    method="DELETE",
    path="/targets/{target}/pause",
    role=Role.OPERATOR,
    parameters=Resume,
    document=PauseDocument,
    run=resume,
    summary="Resume deliveries to a paused target.",
)
