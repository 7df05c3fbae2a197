"""What is to be kept, and tombstones -> the same without what was erased: a spool, a reparse or healing may have it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from relay.amocrm import events
from relay.amocrm.erased_body import erased_body
from relay.amocrm.erasure import erased, extent
from relay.model import Event, RoutedEvent
from relay.model.erasure import ERASED, Extent, Ref, Tombstone
from relay.model.heal import HealRecord, HealState
from relay.store.requests import KeepRequest


def refs_at(tombstones: Collection[Tombstone], source: str, at: datetime) -> frozenset[Ref]:
    """Return those whose data of this time, from this source, was erased."""
    return frozenset(each.ref for each in tombstones if each.source in ("", source) and at <= each.at)


def without_buried(request: KeepRequest, tombstones: Collection[Tombstone]) -> tuple[KeepRequest, Sequence[str]]:
    """Return the request without what was erased, and the ids of its events of which only ids are left."""
    webhook = request.webhook
    refs = refs_at(tombstones, webhook.source, webhook.received_at) if tombstones else frozenset()
    if not refs:
        return request, ()
    pairs = [_routed(each, refs) for each in request.routed]
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
    """Return what of a scan may be recorded: who was erased is not healed."""
    if not tombstones:
        return records, healed
    dropped = {each.webhook.id for each in healed if _is_buried(each, tombstones)}
    left = [
        _unhealable(each)
        if each.webhook in dropped or Ref(each.entity, each.entity_id) in refs_at(tombstones, source, each.at)
        else each
        for each in records
    ]
    kept = {each.webhook for each in left}
    return left, [each for each in healed if each.webhook.id in kept]


def _unhealable(record: HealRecord) -> HealRecord:
    if record.state in (HealState.MATCHED, HealState.LATE_HOOK):
        return replace(record, before=None, after=None)
    return replace(record, state=HealState.UNHEALABLE, before=None, after=None, webhook=None, reason=ERASED)


def _is_buried(request: KeepRequest, tombstones: Collection[Tombstone]) -> bool:
    source = request.webhook.source
    return any(
        extent(each.event, refs_at(tombstones, source, each.event.happened_at or each.event.received_at))
        is Extent.WHOLE
        for each in request.routed
    )


def _routed(routed: RoutedEvent, refs: frozenset[Ref]) -> tuple[Extent, RoutedEvent]:
    event = _whole(routed)
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
