"""Event, or unparsed webhook, and routes -> RoutedEvent: its JSON and its planned deliveries."""

from collections.abc import Callable

from relay.amocrm.events import dump
from relay.model import Event, Order, PlannedDelivery, RoutedEvent, Target, Webhook
from relay.routes.config import Config


def plan(event: Event, config: Config) -> RoutedEvent:
    """Route one event. Its deliveries are not claimed at insert."""
    matches = config.matcher.match(event)
    planned = [
        PlannedDelivery(target=name, routes=routes, key=_key(event, config.targets[name]))
        for name, routes in matches.targets.items()
    ]
    return RoutedEvent(event=event, payload=dump(event), planned=tuple(planned), routes=matches.routes)


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
        PlannedDelivery(target=name, routes=routes, key=_raw_key(source, config.targets[name]))
        for name, routes in matches.targets.items()
    ]
    return [RoutedEvent(event=event, payload=b"", planned=tuple(planned), routes=matches.routes)]


def _raw_key(source: str, target: Target) -> str | None:
    """Differs from the key of any event, which has at least two slashes."""
    return None if target.order is Order.NONE else f"unparsed/{source}"


def _key(event: Event, target: Target) -> str | None:
    """The ordering key at an ordered target: one lead, contact, … of one account."""
    if target.order is Order.NONE or not event.entity_id:
        return None
    account = event.account.get("id", event.account.get("subdomain", ""))
    return f"{account}/{event.entity}/{event.entity_id}"
