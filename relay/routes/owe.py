"""Event and routes -> Routed: its JSON, and the deliveries that are owed."""

from relay.amocrm.events import dump
from relay.model import Event, Order, Owed, Routed, Target
from relay.routes.config import Config


def owe(event: Event, config: Config) -> Routed:
    """What `config` makes of one event; all its deliveries wait in the store for whoever claims them."""
    matches = config.matcher.match(event)
    owed = [
        Owed(target=name, routes=routes, key=_key(event, config.targets[name]))
        for name, routes in matches.targets.items()
    ]
    return Routed(event=event, payload=dump(event), owed=tuple(owed), routes=matches.routes)


def _key(event: Event, target: Target) -> str | None:
    """What goes in order at an ordered target: one lead, contact, … of one account."""
    if target.order is Order.NONE or not event.entity_id:
        return None
    account = event.account.get("id", event.account.get("subdomain", ""))
    return f"{account}/{event.entity}/{event.entity_id}"
