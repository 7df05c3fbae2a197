"""POST /drop, `relay drop`: what is pending for a target that is gone -> dead, dismissed, and to be purged."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.errors import ConflictError, NotFoundError
from relay.model import State
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts_done import DropDocument
from relay.operations.which import LOOK
from relay.routes.diagnostics import quoted, suggestion
from relay.store.records import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The target, which the routes in force must not name."""

    target: str
    dry_run: Annotated[bool, Meta(description="Only count.")] = False


async def drop(desk: Desk, asked: Drop) -> DropDocument:
    """Give up what is pending for a target that is gone, and dismiss what is dead of it: its alerts end.

    ConflictError while the routes in force name the target: then its deliveries have somewhere to go. NotFoundError if
    there is nothing of this name. RoutesInvalid if it is not known what the routes name.
    """
    if asked.target in desk.config().targets:
        raise ConflictError(
            f"the routes file has the target {quoted(asked.target)}: remove it there first, or relay pause it"
        )
    of_target, status = Filter(target=asked.target), await desk.store.status()
    if asked.target not in status.targets and not await desk.store.find(of_target, limit=1, budget=LOOK):
        known = sorted(each for each in status.targets if each not in desk.routed())
        raise NotFoundError(
            f"nothing is pending or dead for a target {quoted(asked.target)} {suggestion(asked.target, known)}"
        )
    found = {
        state: (await desk.store.count(Filter(target=asked.target, states=(state,), dismissed=False), replayable=True))
        for state in (State.PENDING, State.DEAD)
    }
    dropped, dismissed = (found[state].get(asked.target, 0) for state in (State.PENDING, State.DEAD))
    if not asked.dry_run:
        act = desk.act("drop", {"target": asked.target})
        dropped = await desk.store.drop(asked.target, act)
        dismissed = await desk.store.dismiss(of_target, act)
    return DropDocument(
        target=asked.target,
        dry_run=asked.dry_run,
        dropped=dropped,
        dismissed=dismissed,
        paused=bool((target := status.targets.get(asked.target)) and target.pause),
    )


DROP = Operation(
    name="drop",
    method="POST",
    path="/drop",
    role=Role.OPERATOR,
    parameters=Drop,
    document=DropDocument,
    run=drop,
    summary="Give up what is pending for a target that the routes no longer name.",
    long=True,
)
