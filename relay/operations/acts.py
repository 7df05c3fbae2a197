"""GET /acts, GET and DELETE /acts/{act}, `relay acts`: acts that take long, their progress, and how to stop one."""

from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

from relay.errors import ConflictError, NotFoundError
from relay.operations.act_traces import REPORT, document_of, settled, traces_of
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import ActDocument, ActState
from relay.operations.documents.listing import Listing
from relay.operations.which import Limit
from relay.store.records import AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ActsAsked:
    """Those in any of these states; all if there are none."""

    state: Annotated[tuple[ActState, ...], Meta(description="Any of these states.")] = ()
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OneAct:
    """The id of an act."""

    act: str


async def acts(desk: Desk, asked: ActsAsked) -> Listing[ActDocument]:
    """List the newest acts that take long, of all relays on this store, newest first; older ones are in the audit."""
    found = sorted((await _known(desk)).values(), key=lambda each: (each.began_at, each.act), reverse=True)
    wanted = [each for each in found if not asked.state or each.state in asked.state]
    shown = [_with_entry(each, await _entry(desk, each.act)) for each in wanted[: asked.limit]]
    notes = (f"{len(wanted) - len(shown)} more: take a larger limit",) if len(wanted) > len(shown) else ()
    return Listing(data=tuple(shown), notes=notes)


async def act(desk: Desk, asked: OneAct) -> ActDocument:
    """Show how far an act is, of this relay or of another one on its store; NotFoundError for an id that none knows.

    What a command did, or no relay remembers, is known from the audit alone: as `done`.
    """
    entry = await _entry(desk, asked.act)
    here = desk.acts.known(asked.act) if desk.acts else None
    if found := here or (await _known(desk)).get(asked.act):
        return _with_entry(found, entry)
    if entry is None:
        raise NotFoundError(f"no act {asked.act[:80]!r} was begun of late: see relay audit")
    about = ActDocument(act=asked.act, operation=entry.command, state=ActState.DONE, began_at=entry.at)
    return _with_entry(about, entry)


async def stop(desk: Desk, asked: OneAct) -> ActDocument:
    """Have an act of this relay end where it is, with an entry in the audit; what was done stays.

    ConflictError for one that has ended, must not be stopped, or is another process's.
    """
    if desk.acts and (here := desk.acts.known(asked.act)):
        if await desk.acts.stop(asked.act):
            await desk.store.record_audit(desk.act("stop", {"act": asked.act, "operation": here.operation}), 1)
    else:
        found = await act(desk, asked)
        if found.relay:
            there = f"relay acts stop {found.act} --relay URL"
            raise ConflictError(f"this act is {found.state} at the relay {found.relay}: stop it there, {there}")
        if found.state is not ActState.STOPPED:
            raise ConflictError(f"this act is {found.state}")
    return await act(desk, asked)


async def _known(desk: Desk) -> dict[str, ActDocument]:
    """By id, what relays have published."""
    status, found = await desk.store.status(), dict[str, ActDocument]()
    for report in await desk.store.questions.published(REPORT):
        own = desk.acts is not None and report.relay == desk.store.questions.relay
        for id_, trace in traces_of(report).items():
            here = desk.acts.known(id_) if desk.acts else None
            left = document_of(id_, trace)
            if own and left.state is ActState.RUNNING:
                left = replace(left, state=ActState.INTERRUPTED)  # by a process before this one
            found[id_] = here or settled(left, report, status)
    return found


async def _entry(desk: Desk, id_: str) -> AuditEntry | None:
    return next(iter(await desk.store.audit(limit=1, id_=id_)), None)


def _with_entry(found: ActDocument, entry: AuditEntry | None) -> ActDocument:
    if entry is None:
        return found
    return replace(found, count=entry.count, asked=entry.asked, who=entry.who)


ACTS = Operation(
    name="acts",
    method="GET",
    path="/acts",
    role=Role.VIEWER,
    parameters=ActsAsked,
    document=Listing[ActDocument],
    run=acts,
    summary="List the newest acts that take long, and how far they are.",
)

ACT = Operation(
    name="act",
    method="GET",
    path="/acts/{act}",
    role=Role.VIEWER,
    parameters=OneAct,
    document=ActDocument,
    run=act,
    summary="How far an act is that answered 202.",
)

STOP_ACT = Operation(
    name="stop_act",
    method="DELETE",
    path="/acts/{act}",
    role=Role.OPERATOR,
    parameters=OneAct,
    document=ActDocument,
    run=stop,
    summary="Stop an act that takes long; what was done stays.",
)
