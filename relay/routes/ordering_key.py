"""Event, or source of unparsed webhooks, and target -> ordering key. Pure."""

from relay.model import Event, Order, Target


def ordering_key(event: Event, target: Target) -> str | None:
    """The ordering key at an ordered target: one lead, contact, … of one account."""
    if target.order is Order.NONE or not event.entity_id:
        return None
    account = event.account.get("id", event.account.get("subdomain", ""))
    return f"{account}/{event.entity}/{event.entity_id}"


def raw_ordering_key(source: str, target: Target) -> str | None:
    """Differs from the key of any event, which has at least two slashes."""
    return None if target.order is Order.NONE else f"unparsed/{source}"
