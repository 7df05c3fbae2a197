"""One change of an account, as the webhook that amoCRM sends for it and as the event of the feed that tells of it."""

from datetime import UTC, datetime, timedelta
from itertools import count

from relay.account.heal.feed_events import FeedEvent, feed_events
from relay.account.heal.hooks import ClockOffset, hooks_of
from relay.account.heal.limits import limits
from relay.amocrm import form
from relay.amocrm.shapes import BodyReader
from relay.model import Event, Json, Webhook
from relay.model.accounts import Heal
from relay.model.heal import Hook

CHANGED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECONDS = str(int(CHANGED.timestamp()))
EXACT = ClockOffset(timedelta(), timedelta(seconds=1))
LIMITS = limits(Heal(), kommo=False)
ACCOUNT = {"subdomain": "example", "id": "5", "_links": {"self": "https://example.amocrm.ru"}}


def events_of(tree: dict[str, Json], *, query: str = "", received_at: datetime = CHANGED) -> list[Event]:
    ids = count(1)
    return BodyReader().read(
        form.encode(tree), "", source="crm", received_at=received_at, new_id=lambda: f"e{next(ids)}", query=query
    )


def hooks(
    tree: dict[str, Json],
    *,
    query: str = "",
    received_at: datetime = CHANGED,
    clock: ClockOffset | None = EXACT,
    kommo: bool = False,
) -> list[Hook]:
    webhook = Webhook(id="w", source="crm", received_at=received_at, body=form.encode(tree), query=query)
    events = events_of(tree, query=query, received_at=received_at)
    return hooks_of(webhook, events, limits=limits(Heal(), kommo=kommo), clock=clock)


def item(entity: str, action: str, fields: dict[str, Json], *, dp: bool = False) -> dict[str, Json]:
    """The body of one item: an account-level one, or a trigger's."""
    items = {entity: {action: {"0": fields}}}
    return {**items, "account": {"id": "5", "subdomain": "example"}} if dp else {"account": ACCOUNT, **items}


def feed_event(type_: str, entity: str, id_: int, *, before: Json = None, after: Json = None) -> FeedEvent:
    """An event of the feed, read from the page that has it."""
    raw = {
        "id": "01kx88gvkr0000000000000000",
        "type": type_,
        "entity_id": id_,
        "entity_type": entity,
        "created_by": 0,
        "created_at": int(SECONDS),
        "value_before": before or [],
        "value_after": after or [],
    }
    (found,) = feed_events({"_embedded": {"events": [raw]}})
    return found
