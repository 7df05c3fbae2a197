"""POST /dismiss, `relay dismiss`: what is dead or unparsed, and understood -> no longer counted or alarmed about."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

from relay.errors import NotFoundError
from relay.model import State
from relay.operations import audit
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts_done import DismissDocument
from relay.operations.lookup import show
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.unknown_names import unknown_names
from relay.operations.which import Most, Which, demand_at_most
from relay.store.contract import OperationsStore
from relay.store.records import AuditEntry, Filter

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismiss(Which):
    """Ids, or a filter, or all that is dead, or unparsed webhooks. What is dead is meant: `state` says nothing more."""

    ids: Annotated[tuple[str, ...], Meta(description="Ids of events or webhooks, or starts of them.")] = ()
    all_dead: Annotated[bool, Meta(description="Every dead delivery.")] = False
    unparsed: Annotated[bool, Meta(description="Unparsed webhooks instead of dead deliveries.")] = False
    dry_run: Annotated[bool, Meta(description="Only count.")] = False
    most: Most | None = None

    def filter(self) -> Filter:
        """Which of the dead deliveries that are not dismissed."""
        return replace(Which.filter(self), states=(State.DEAD,), dismissed=False)


EVERY_DEAD = Dismiss().filter()


async def dismiss(desk: Desk, asked: Dismiss) -> DismissDocument:
    """Dismiss. InvalidParameters for a choice of nothing or of too much, NotFoundError for an unknown id or name.

    ConflictError for more deliveries, or with `unparsed` more webhooks, than `most`.
    """
    _check(asked)
    if asked.most is not None and not asked.dry_run:
        counted = await dismiss(desk, replace(asked, dry_run=True))
        demand_at_most(counted.unparsed if asked.unparsed else counted.deliveries, asked.most)
    wanted = asked.filter()
    if asked.ids:
        return await _dismiss_ids(desk, asked)
    if asked.unparsed:
        ids = await _unparsed(desk.store, wanted)
        act = desk.act("dismiss --unparsed", audit.conditions(replace(wanted, states=())))
        return await _done(desk, asked.dry_run, None, ids, act)
    document = await _done(desk, asked.dry_run, wanted, (), desk.act("dismiss", audit.conditions(wanted)))
    if not document.deliveries and (unknown := await unknown_names(desk.store, wanted, desk.config_or_none())):
        raise NotFoundError("\n".join(unknown))
    return document


def _check(asked: Dismiss) -> None:
    if asked.dismissed is not None or not {*asked.state} <= {State.DEAD}:
        raise _misuse("/state", "what is dead and not dismissed is dismissed: leave state and dismissed out")
    narrowed = asked.filter() != EVERY_DEAD
    if asked.all_dead and (asked.ids or narrowed or asked.unparsed):
        raise _misuse("/all_dead", "all that is dead stands alone: without it, give ids or a filter")
    if asked.ids and (narrowed or asked.unparsed):
        raise _misuse("/ids", "ids stand alone: give no filter beside them")
    if asked.unparsed and replace(asked.filter(), since=None, until=None) != EVERY_DEAD:
        raise _misuse("/unparsed", "unparsed webhooks have no target, route or entity: narrow them by time alone")
    if not (asked.ids or narrowed or asked.unparsed or asked.all_dead):
        raise _misuse("/ids", "say which: give ids, a filter like a target or a time, all that is dead, or unparsed")


def _misuse(pointer: str, detail: str) -> InvalidParameters:
    return InvalidParameters(Fault(pointer=pointer, detail=detail))


async def _dismiss_ids(desk: Desk, asked: Dismiss) -> DismissDocument:
    """Dismiss what is dead of these events, or of all events of these webhooks, and these webhooks if unparsed."""
    found = [await show(desk.store, id_) for id_ in asked.ids]
    unparsed = [
        each.record.webhook.id
        for each, id_ in zip(found, asked.ids, strict=True)
        if each.record.webhook.unparsed is not None and each.record.webhook.id.startswith(id_)
    ]
    events = tuple(event.id for each in found for event in each.events)
    dead = any(delivery.state is State.DEAD for each in found for event in each.events for delivery in event.deliveries)
    if not dead and not unparsed:
        raise NotFoundError("nothing is dead or unparsed under these ids: see relay show")
    wanted = replace(EVERY_DEAD, event_ids=events) if dead else None
    act = desk.act("dismiss" if dead else "dismiss --unparsed", {"ids": [*asked.ids]})
    return await _done(desk, asked.dry_run, wanted, unparsed, act)


async def _unparsed(store: OperationsStore, wanted: Filter) -> list[str]:
    """The ids of unparsed webhooks that are not dismissed, page by page and without their bodies."""
    ids: list[str] = []
    after = None
    while True:
        page = await store.unparsed(limit=PAGE, after=after, most=0)
        ids += [
            each.id
            for each in page
            if (wanted.since is None or each.received_at >= wanted.since)
            and (wanted.until is None or each.received_at < wanted.until)
        ]
        if (after := page.next) is None:
            return ids


async def _done(
    desk: Desk, dry_run: bool, wanted: Filter | None, unparsed: Sequence[str], act: AuditEntry
) -> DismissDocument:
    store = desk.store
    found = Counter(await store.count(wanted, replayable=True)) if wanted else Counter[str]()
    deliveries, webhooks = found.total(), len(unparsed)
    if not dry_run:
        deliveries = await store.dismiss(wanted, act) if wanted else 0
        webhooks = await store.dismiss_unparsed(unparsed, act) if unparsed else 0
    return DismissDocument(dry_run=dry_run, deliveries=deliveries, targets=dict(found), unparsed=webhooks)


DISMISS = Operation(
    name="dismiss",
    method="POST",
    path="/dismiss",
    role=Role.OPERATOR,
    parameters=Dismiss,
    document=DismissDocument,
    run=dismiss,
    summary="Dismiss dead deliveries or unparsed webhooks: no longer counted or alarmed about.",
    long=True,
)
