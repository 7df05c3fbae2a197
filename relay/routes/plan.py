"""Event, or unparsed webhook, and routes -> RoutedEvent: its JSON, and planned deliveries with their ordering keys."""

from collections.abc import Callable

from relay.amocrm.events import dump
from relay.model import Event, PlannedDelivery, RoutedEvent, Webhook
from relay.routes.config import Config
from relay.routes.ordering_key import ordering_key, raw_ordering_key


def plan(event: Event, config: Config) -> RoutedEvent:
    """Route one event. Its deliveries have no lease yet; delivery adds one to those that are claimed at insert."""
    matches = config.matcher.match(event)
    planned = matches.planned
    if config.ordered and not config.ordered.isdisjoint(matches.targets):
        planned = tuple(
            [
                PlannedDelivery(target=name, routes=routes, key=ordering_key(event, config.targets[name]))
                for name, routes in matches.targets.items()
            ]
        )
    return RoutedEvent(event=event, payload=dump(event), planned=planned, routes=matches.routes)


def plan_raw(webhook: Webhook, config: Config, *, new_id: Callable[[], str]) -> list[RoutedEvent]:
    """Plan raw deliveries of an unparsed webhook, all with one event id; none if no route takes unparsed webhooks."""
    matches = config.matcher.match_unparsed(webhook.source)
    if not matches.targets:
        return []
    source = webhook.source
    event = Event(
        id=new_id(), source=source, received_at=webhook.received_at, account={}, entity="", action="", data={}
    )
    planned = [
        # the entity is unknown: all raw deliveries of a source go in order
        PlannedDelivery(target=name, routes=routes, key=raw_ordering_key(source, config.targets[name]))
        for name, routes in matches.targets.items()
    ]
    return [RoutedEvent(event=event, payload=b"", planned=tuple(planned), routes=matches.routes)]
