"""What is to be kept -> the columns of the rows that one statement inserts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from relay.model import Delivery, Event, PlannedDelivery, RoutedEvent
from relay.store.checksum import checksum
from relay.store.heal_rows import HOOK, as_json, hook_row
from relay.store.likeness import Likeness, likeness_of
from relay.store.postgres.arrays import Blobs, Numbers, Texts
from relay.store.postgres.connection import Row
from relay.store.postgres.locks import hashed, hashed_hook
from relay.store.postgres.text import clean, clean_or_none
from relay.store.requests import KeepRequest
from relay.store.times import MILLISECOND, to_ms

RAW = "unparsed"  # the kind of the event row that raw deliveries hang on
NOT_DATED = ""  # of an unparsed webhook: a later relay may find a time in an equal one


class Claim(NamedTuple):
    """A delivery that is claimed at insert unless it has to wait, by a token made for it."""

    routed: RoutedEvent
    target: str
    since: datetime
    ordered: bool
    trace: str

    def delivery(self, row: int, token: int) -> Delivery:
        """Return it as its holder gets it."""
        event = self.routed.event
        return Delivery(
            row=row,
            event_id=event.id,
            target=self.target,
            attempt=1,
            policy_attempt=1,
            received_at=event.received_at,
            pending_since=self.since,
            payload=self.routed.payload,
            entity=event.entity,
            entity_id=event.entity_id,
            token=token,
            ordered=self.ordered,
            trace=self.trace,
        )


@dataclass(slots=True)
class Asked:
    """A request with its rows: they are made once, whichever statements insert them."""

    request: KeepRequest
    likeness: Likeness
    webhook: Row
    events: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)  # each begins with the position of its event
    claims: dict[int, Claim] = field(default_factory=dict)

    @property
    def hooked(self) -> bool:
        """Whether it has hooks to index."""
        return bool(self.request.hooks)

    @property
    def ordered(self) -> bool:
        """Whether one of its deliveries may have to wait behind another."""
        return any(row[_KEY] is not None for row in self.deliveries)

    @property
    def dated(self) -> str:
        """The time by which equal webhooks are found."""
        return str(self.webhook[_DATED])

    def locked(self) -> Iterator[bytes]:
        """Return the hashes of what no other transaction may keep or settle meanwhile."""
        yield from (row[_KEY] for row in self.deliveries if row[_KEY] is not None)
        source = self.request.webhook.source
        yield from (hashed_hook(source, each.channel, each.key) for each in self.request.hooks)
        if self.likeness.digest is None:
            return
        about = [hashed(key) for each in self.request.routed if (key := _entity_key(each.event))]
        yield from about or [self.likeness.digest]


def leases(requests: Sequence[KeepRequest]) -> int:
    """Count the deliveries that are to be claimed at insert."""
    return sum(planned.lease is not None for each in requests for routed in each.routed for planned in routed.planned)


def asked_of(request: KeepRequest, tokens: Iterator[int] | None) -> Asked:
    """Make the rows of a request; nothing is claimed at insert without `tokens`."""
    likeness = likeness_of(request)
    asked = Asked(request, likeness, _webhook_row(request, likeness))
    for position, routed in enumerate(request.routed):
        asked.events.append(_event_row(routed))
        since = request.now or routed.event.received_at
        at = to_ms(since)
        for planned in routed.planned:
            token = next(tokens) if tokens and planned.lease is not None else None
            if token is not None:
                trace = request.webhook.trace
                asked.claims[token] = Claim(routed, planned.target, since, planned.key is not None, trace)
            asked.deliveries.append(_delivery_row(position, planned, at, token))
    return asked


def values(group: Sequence[Asked]) -> dict[str, Any]:
    """Return the parameters for all rows of a group, in its order."""
    events: list[Row] = []
    deliveries: list[Row] = []
    first: set[tuple[str, bytes]] = set()
    for position, asked in enumerate(group, 1):
        before = len(events) + 1
        events += [(position, *row) for row in asked.events]
        for event, target, *row, key in asked.deliveries:
            behind = key is not None and (target, key) in first
            if key is not None:
                first.add((target, key))
            deliveries.append((before + event, target, *row, int(behind), key))
    return {
        **_columns(_WEBHOOK, [each.webhook for each in group]),
        **_columns(_EVENT, events),
        **_columns(_DELIVERY, deliveries),
    }


def hook_values(group: Sequence[Asked], matched: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return the parameter for the hooks of a group; `matched`: the events that some are spent on, by position."""
    hooks = [(asked.request.webhook, hook) for asked in group for hook in asked.request.hooks]
    events = matched or {}
    rows = [
        hook_row(
            hook._replace(channel=clean(hook.channel), key=clean(hook.key)),
            webhook.id,
            webhook.source,
            to_ms(webhook.received_at),
            events.get(position),
        )
        for position, (webhook, hook) in enumerate(hooks)
    ]
    return {"hooks": as_json([dict(zip(HOOK.split(", "), row, strict=True)) for row in rows])}


# ---- rows

_WEBHOOK = {
    "id": Texts,
    "source": Texts,
    "arrived": Numbers,
    "content_type": Texts,
    "request_id": Texts,
    "body": Blobs,
    "query": Texts,
    "signature": Texts,
    "unparsed": Texts,
    "digest": Blobs,
    "dated": Texts,
    "checksum": Blobs,
    "traceparent": Texts,
    "span": Numbers,
}
_DATED = list(_WEBHOOK).index("dated")
_EVENT = {
    "e_webhook": Numbers,
    "e_id": Texts,
    "e_kind": Texts,
    "e_entity": Texts,
    "e_action": Texts,
    "e_entity_id": Texts,
    "e_pipeline_id": Texts,
    "e_received_at": Numbers,
    "e_payload": Blobs,
    "e_checksum": Blobs,
    "e_unrouted": Numbers,
}
_DELIVERY = {
    "d_event": Numbers,
    "d_target": Texts,
    "d_routes": Texts,
    "d_since": Numbers,
    "d_until": Numbers,
    "d_token": Numbers,
    "d_behind": Numbers,
    "d_key": Blobs,
}
_KEY = -1


def _columns(types: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return {name: array(column) for (name, array), column in zip(types.items(), columns, strict=True)}


def _webhook_row(request: KeepRequest, likeness: Likeness) -> Row:
    webhook, longest = request.webhook, request.windows.longest
    dated = NOT_DATED if likeness.dated is None else clean(str(likeness.dated))
    return (
        webhook.id,
        webhook.source,
        to_ms(webhook.received_at),
        clean(webhook.content_type),
        clean(webhook.request_id),
        webhook.body,
        clean(webhook.query),
        clean(webhook.signature),
        clean_or_none(webhook.unparsed),
        likeness.digest,
        dated,
        likeness.of_body,
        webhook.traceparent or None,
        None if longest is None else longest // MILLISECOND,
    )


def _event_row(routed: RoutedEvent) -> Row:
    event = routed.event
    pipeline = event.data.get("pipeline_id")
    return (
        event.id,
        RAW if routed.raw else "event",
        clean(event.entity),
        clean(event.action),
        clean(event.entity_id),
        None if pipeline is None else clean(str(pipeline)),
        to_ms(event.received_at),
        routed.payload,
        checksum(routed.payload, event.id.encode()),
        int(routed.unrouted),
    )


def _delivery_row(event: int, planned: PlannedDelivery, since: int, token: int | None) -> Row:
    # until when: it is claimed, or else held
    span = planned.hold if token is None else planned.lease
    return (
        event,
        planned.target,
        _as_json(planned.routes),
        since,
        None if span is None else since + span // MILLISECOND,
        token,
        None if planned.key is None else hashed(planned.key),
    )


@lru_cache(maxsize=1024)
def _as_json(names: tuple[str, ...]) -> str:
    return orjson.dumps(names).decode()


def _entity_key(event: Event) -> str | None:
    """Return what an event is about; as a rule it is the ordering key, too, and one lock does for both."""
    if not event.entity_id:
        return None
    account = event.account.get("id", event.account.get("subdomain", ""))
    return f"{account}/{event.entity}/{event.entity_id}"
