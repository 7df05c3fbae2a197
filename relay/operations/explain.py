"""A body or stored events, and routes -> what each route checked, and the requests that targets would get.

Nothing is sent, and what is secret in a request is `***`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from uuid_utils import uuid7

from relay.amocrm import events, form
from relay.delivery.payload import Original, original_body
from relay.errors import CorruptError, UnreadableError
from relay.model import Event, Webhook
from relay.model.enrich import Enrichment
from relay.operations.lookup import Found
from relay.operations.shown_requests import ShownRequest, shown_raw_request, shown_request
from relay.routes.config import Config
from relay.routes.fields import values_of
from relay.routes.match import Route
from relay.routes.plan import takers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionCheck:
    """One key of a match: its `condition` as written, the `values` of the event as text, and whether it held."""

    field: str
    condition: str
    values: tuple[str, ...]
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplanation:
    """Whether a route matched, and why. An `otherwise` route has no checks: it matches if no other route does."""

    route: Route
    matched: bool
    checks: tuple[ConditionCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventExplanation:
    """Every route of the file, in its order, and a request for each target that a matching one names.

    `dropped`: those targets among them that get no healed event, and this is one.
    """

    event: Event
    routes: Sequence[RouteExplanation]
    requests: Sequence[ShownRequest]
    dropped: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawExplanation:
    """A webhook that cannot be read for the reason `unparsed`, as routes with `unparsed: true` send it on.

    `routes` are those, of which `matched` take it.
    """

    source: str
    unparsed: str
    routes: Sequence[Route]
    matched: Sequence[str]
    requests: Sequence[ShownRequest]


NO_DELIVERY = "given-at-arrival"
"""In place of the `webhook-id` of a raw delivery that there is not: the id is made when the webhook arrives."""

NOTHING_FETCHED: Mapping[str, Enrichment] = {}

Explanation: TypeAlias = Sequence[EventExplanation] | RawExplanation


def explain_body(config: Config, body: bytes, *, source: str, query: str = "", now: datetime) -> Explanation:
    """What would become of a body, form or JSON, that came to `source` at `now`.

    UnreadableError, with the reason, if it cannot be read and no route takes unparsed ones.
    """
    webhook = Webhook(id=str(uuid7()), source=source, received_at=now, body=body, query=query)
    return _explain_unread(config, webhook, NO_DELIVERY, now)


def explain_stored(
    config: Config, found: Found, fetched: Mapping[str, Enrichment] = NOTHING_FETCHED, *, now: datetime
) -> Explanation:
    """What would become of a stored webhook, or of one of its events; CorruptError if it is.

    An unparsed one is read again, with the code of today. `fetched`: what is stored beside its events, by id.
    """
    webhook = found.record.webhook
    if webhook.unparsed is not None:
        raw = found.record.raw
        return _explain_unread(config, webhook, raw.id if raw else NO_DELIVERY, now)
    return [_explain(config, event, sent, webhook.trace, now, fetched.get(event.id)) for event, sent in _stored(found)]


def _explain_unread(config: Config, webhook: Webhook, raw_id: str, now: datetime) -> Explanation:
    try:
        return [_explain(config, event, sent, webhook.trace, now) for event, sent in _read(webhook)]
    except UnreadableError as error:
        return _explain_raw(config, replace(webhook, unparsed=str(error)), raw_id, now)


def _explain(
    config: Config, event: Event, sent: Original, trace: str, now: datetime, fetched: Enrichment | None = None
) -> EventExplanation:
    matched = config.matcher.match(event).targets
    takers = takers_of(event, matched, config)
    requests = [shown_request(config, name, event, sent, trace=trace, fetched=fetched, now=now) for name in takers]
    return EventExplanation(
        event=event,
        routes=explain_routes(config, event),
        requests=requests,
        dropped=[name for name in matched if name not in takers],
    )


def _explain_raw(config: Config, webhook: Webhook, raw_id: str, now: datetime) -> RawExplanation:
    """`raw_id`: the `webhook-id` of its raw deliveries."""
    matches = config.matcher.match_unparsed(webhook.source)
    if not matches.targets:
        raise UnreadableError(f"{webhook.unparsed}; no route with `unparsed: true` takes it")
    return RawExplanation(
        source=webhook.source,
        unparsed=webhook.unparsed or "",
        routes=[route for route in config.routes if route.unparsed],
        matched=matches.routes,
        requests=[shown_raw_request(config, name, webhook, raw_id, now=now) for name in matches.targets],
    )


# ---- routes


def explain_routes(config: Config, event: Event) -> list[RouteExplanation]:
    """One explanation per route, in file order. Agrees with `Matcher.match`: both use the same conditions."""
    taken = set(config.matcher.match(event).routes)
    return [
        RouteExplanation(route=route, matched=route.name in taken, checks=tuple(_checks(route, event)))
        for route in config.routes
    ]


def _checks(route: Route, event: Event) -> Iterator[ConditionCheck]:
    if route.stopped:
        return
    for field, (read, condition) in zip(route.match, route.conditions.items(), strict=True):
        values = values_of(event, read)
        yield ConditionCheck(field=field, condition=condition.text, values=values, held=condition.holds(values))


# ---- events, each with what amoCRM sent of it


def _read(webhook: Webhook) -> list[tuple[Event, Original]]:
    """UnreadableError says why there are none."""
    body, content_type = webhook.body, webhook.content_type
    found = events.read(
        form.decode(body, content_type),
        source=webhook.source,
        received_at=webhook.received_at,
        new_id=lambda: str(uuid7()),
        query=webhook.query,
    )
    return [
        (event, Original(body=original_body(body, content_type, position=position, of=len(found)), query=webhook.query))
        for position, event in enumerate(found)
    ]


def _stored(found: Found) -> list[tuple[Event, Original]]:
    record, webhook = found.record, found.record.webhook
    if webhook.corrupt or any(event.corrupt for event in found.events):
        raise CorruptError(f"{webhook.id} is corrupt in the store, see relay verify")
    # raw deliveries of a webhook that was read since stand for all the events that were made of it
    chosen = [event for event in found.events if event != record.raw] or record.events
    sent = [
        Original(
            body=original_body(
                webhook.body, webhook.content_type, position=record.events.index(event), of=len(record.events)
            ),
            query=webhook.query,
        )
        for event in chosen
    ]
    return [(events.load(event.payload), each) for event, each in zip(chosen, sent, strict=True)]
