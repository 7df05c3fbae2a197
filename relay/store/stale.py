"""Healed events -> the same, marked where a newer webhook of the entity was kept before."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import orjson

from relay.model import RoutedEvent
from relay.store.requests import KeepRequest


class Happened(NamedTuple):
    """What a healed event is about, and when it happened."""

    entity: str
    entity_id: str
    at: datetime


def happened(requests: Iterable[KeepRequest]) -> Iterator[Happened]:
    """Return what is to be looked up: each healed event that is about an entity."""
    for request in requests:
        for routed in request.routed:
            if found := _of(routed):
                yield found


def mark_stale(request: KeepRequest, overtaken: Collection[Happened]) -> KeepRequest:
    """Return it with `stale` in those of its events that were overtaken."""
    return request._replace(routed=[_marked(each) if _of(each) in overtaken else each for each in request.routed])


def _of(routed: RoutedEvent) -> Happened | None:
    event = routed.event
    if event.heal is None or event.happened_at is None or not event.entity_id:
        return None
    return Happened(event.entity, event.entity_id, event.happened_at)


def _marked(routed: RoutedEvent) -> RoutedEvent:
    """The payload is the event's JSON as `amocrm.events.dump` made it."""
    payload = orjson.loads(routed.payload)
    payload["heal"]["stale"] = True
    event = replace(routed.event, heal={**(routed.event.heal or {}), "stale": True})
    return replace(routed, event=event, payload=orjson.dumps(payload))
