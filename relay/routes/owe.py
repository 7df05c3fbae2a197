"""Event and routes -> Routed: its JSON, and the deliveries that are owed."""

from collections.abc import Callable
from datetime import timedelta

from relay.amocrm.events import dump
from relay.model import Event, Order, Owed, Routed, Target
from relay.routes.config import Config

Lease = Callable[[str], timedelta | None]
"""For how long a new delivery to this target may be born claimed, if at all."""


def owe(event: Event, config: Config, *, lease: Lease = lambda _target: None) -> Routed:
    """What `config` makes of one event; without `lease` all deliveries wait in the store for whoever claims them."""
    matches = config.matcher.match(event)
    owed = [
        Owed(target=name, routes=routes, lease=lease(name), key=_key(event, config.targets[name]))
        for name, routes in matches.targets.items()
    ]
    return Routed(event=event, payload=dump(event), owed=tuple(owed), routes=matches.routes)


def _key(event: Event, target: Target) -> str | None:
    """What goes in order at an ordered target: one lead, contact, … of one account."""
    if target.order is Order.NONE or not event.entity_id:
        return None
    account = event.account.get("id", event.account.get("subdomain", ""))
    return f"{account}/{event.entity}/{event.entity_id}"
