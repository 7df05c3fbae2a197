"""Event, or unparsed webhook, and routes -> RoutedEvent: its JSON, and planned deliveries with their ordering keys."""

from collections.abc import Callable, Iterator, Mapping

from relay.amocrm.cards import subject
from relay.amocrm.events import dump
from relay.model import Event, HealDelivery, PlannedDelivery, RoutedEvent, Webhook
from relay.model.enrich import HOLD
from relay.routes.config import Config
from relay.routes.ordering_key import ordering_key, raw_ordering_key


def plan(event: Event, config: Config) -> RoutedEvent:
    """Route one event. Its deliveries have no lease yet; delivery adds one to those that are claimed at insert."""
    matches = config.matcher.match(event)
    planned = matches.planned
    if config.planned_apart and not config.planned_apart.isdisjoint(matches.targets):
        planned = tuple(_planned(event, matches.targets, config))
    return RoutedEvent(event=event, payload=dump(event), planned=planned, routes=matches.routes)


def _planned(event: Event, targets: Mapping[str, tuple[str, ...]], config: Config) -> Iterator[PlannedDelivery]:
    """The deliveries to targets of which some have an order, enrich, or drop heals: those get late webhooks."""
    for name, routes in takers_of(event, targets, config).items():
        target = config.targets[name]
        hold = HOLD if target.enrich and _can_be_enriched(event, config) else None
        drops = target.heal is HealDelivery.DROP
        yield PlannedDelivery(target=name, routes=routes, key=ordering_key(event, target), if_late=drops, hold=hold)


def takers_of(event: Event, targets: Mapping[str, tuple[str, ...]], config: Config) -> Mapping[str, tuple[str, ...]]:
    """The targets of the matching routes that get the event: a healed one goes to none that drops them."""
    if event.heal is None:
        return targets
    return {name: routes for name, routes in targets.items() if config.targets[name].heal is not HealDelivery.DROP}


def _can_be_enriched(event: Event, config: Config) -> bool:
    source = config.sources.get(event.source)
    return source is not None and source.account is not None and subject(event) is not None


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
