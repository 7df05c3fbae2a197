"""Event <-> the same without what its payload holds, too: parsed, that takes ten times the memory."""

from dataclasses import replace
from typing import Any

import orjson

from relay.model import Event, RoutedEvent


def bare_event(event: Event) -> Event:
    """Return the event without account, query and data, but with its `entity_id`."""
    return Event(
        id=event.id,
        source=event.source,
        received_at=event.received_at,
        account={},
        entity=event.entity,
        action=event.action,
        data={"id": event.entity_id} if event.entity_id else {},
    )


def bare(routed: RoutedEvent) -> RoutedEvent:
    """Return it with a bare event."""
    return RoutedEvent(
        event=bare_event(routed.event), payload=routed.payload, planned=routed.planned, routes=routed.routes
    )


def whole(routed: RoutedEvent) -> RoutedEvent:
    """Return it with what the payload holds: by account and data a store tells duplicates apart.

    ValueError or TypeError if the payload is no JSON object.
    """
    if routed.raw:
        return routed
    read: Any = orjson.loads(routed.payload)
    if not {"account", "data"} <= read.keys():
        return routed  # no JSON of ours, but it is what the target is to get
    event = replace(routed.event, account=read["account"], data=read["data"], query=read.get("query", {}))
    return replace(routed, event=event)
