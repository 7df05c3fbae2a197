"""What is to be kept, and tombstones -> the same without what was erased: a spool, a reparse or healing may have it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain

from relay.amocrm import events
from relay.amocrm.erased_body import erased_body
from relay.amocrm.erasure import erased, extent
from relay.model import Event, Json, RoutedEvent
from relay.model.erasure import ERASED, Extent, Ref, Tombstone
from relay.model.heal import HealRecord, HealState
from relay.store.requests import KeepRequest


class Buried:
    """Tombstones by ids: of an event only those are looked for that it names, as it is searched for each."""

    def __init__(self, tombstones: Iterable[Tombstone]) -> None:
        self._of: defaultdict[str, list[Tombstone]] = defaultdict(list)
        for each in tombstones:
            self._of[each.ref.id].append(each)

    def refs_at(self, ids: Iterable[str], source: str, at: datetime) -> frozenset[Ref]:
        """Return those with one of these ids whose data of this time, from this source, was erased."""
        named = chain.from_iterable(self._of[each] for each in {*ids} if each in self._of)
        return frozenset(each.ref for each in named if each.source in ("", source) and at <= each.at)


def without_buried(request: KeepRequest, tombstones: Collection[Tombstone]) -> tuple[KeepRequest, Sequence[str]]:
    """Return the request without what was erased, and the ids of its events of which only ids are left."""
    if not tombstones:
        return request, ()
    webhook, wholes = request.webhook, [_whole(each) for each in request.routed]
    named = {id_ for event in wholes if event for id_ in _named(event)}
    refs = Buried(each for each in tombstones if each.ref.id in named).refs_at(
        named, webhook.source, webhook.received_at
    )
    if not refs:
        return request, ()
    pairs = [_routed(each, event, refs) for each, event in zip(request.routed, wholes, strict=True)]
    extents = [how for how, _routed in pairs]
    whole = [each.event.id for how, each in pairs if how is Extent.WHOLE]
    body = erased_body(webhook.body, webhook.content_type, extents, refs)
    query = "" if len(whole) == len(pairs) and whole else webhook.query
    return request._replace(
        webhook=replace(webhook, body=body, query=query), routed=[each for _how, each in pairs]
    ), whole


def buried_heals(
    source: str, records: Sequence[HealRecord], healed: Sequence[KeepRequest], tombstones: Collection[Tombstone]
) -> tuple[Sequence[HealRecord], Sequence[KeepRequest]]:
    """Return what of a scan may be recorded: an erased person is not healed."""
    if not tombstones or not records:
        return records, healed
    buried = Buried(tombstones)
    dropped = {each.webhook.id for each in healed if _is_buried(each, buried)}
    left = [
        _unhealable(each)
        if each.webhook in dropped
        or Ref(each.entity, each.entity_id) in buried.refs_at([each.entity_id], source, each.at)
        else each
        for each in records
    ]
    kept = {each.webhook for each in left}
    return left, [each for each in healed if each.webhook.id in kept]


def _unhealable(record: HealRecord) -> HealRecord:
    if record.state in (HealState.MATCHED, HealState.LATE_HOOK):
        return replace(record, before=None, after=None)
    return replace(record, state=HealState.UNHEALABLE, before=None, after=None, webhook=None, reason=ERASED)


def _is_buried(request: KeepRequest, buried: Buried) -> bool:
    source = request.webhook.source
    return any(
        extent(each, buried.refs_at(_named(each), source, each.happened_at or each.received_at)) is Extent.WHOLE
        for each in (routed.event for routed in request.routed)
    )


def _named(event: Event) -> Iterator[str]:
    """What may be the id of whom an event is about."""
    yield event.entity_id
    nodes: list[Json] = [event.data]
    while nodes:
        match nodes.pop():
            case str() | int() as node:
                yield str(node)
            case list() as items:
                nodes += items
            case Mapping() as children:
                nodes += children.values()


def _routed(routed: RoutedEvent, event: Event | None, refs: frozenset[Ref]) -> tuple[Extent, RoutedEvent]:
    if event is None or (how := extent(event, refs)) is Extent.NONE:
        return Extent.NONE, routed
    left = erased(event, refs, how)
    planned = () if how is Extent.WHOLE else routed.planned
    return how, replace(routed, event=left, payload=events.dump(left), planned=planned)


def _whole(routed: RoutedEvent) -> Event | None:
    """Return the event of the payload: what a spool has read of it is bare. None if it is none of ours."""
    try:
        return None if routed.raw else events.load(routed.payload)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
