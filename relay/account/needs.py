"""Routes -> what a source's webhook has to be subscribed to, and what no subscription brings."""

from collections.abc import Collection
from datetime import UTC, datetime

from relay.amocrm.subscriptions import BESIDE, SETTINGS
from relay.amocrm.vocabulary import ACTIONS_OF
from relay.model import Event
from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.fields import EVENT_FIELDS, field_reader
from relay.routes.match import Route

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_SUBSCRIBED = frozenset(SETTINGS.values())
_NAMES_A_TYPE = frozenset({"action", "type"})


def needed_settings(config: Config, source: str) -> tuple[str, ...]:
    """The settings that bring what some route takes from this source, in a fixed order.

    A condition on anything but source, entity, action and type may hold.
    """
    needed = {setting for setting, (entity, action) in SETTINGS.items() if _taken(config, source, entity, action)}
    return tuple(sorted(needed | {BESIDE[each] for each in needed if each in BESIDE}))


def beyond_subscription(config: Config, source: str) -> tuple[str, ...]:
    """The types that routes name and take from this source, and that no setting brings: `leads.mail_in`.

    A route that takes whatever comes names none.
    """
    naming = [route for route in config.routes if not _NAMES_A_TYPE.isdisjoint(route.match)]
    return tuple(
        f"{entity}.{action}"
        for entity, actions in sorted(ACTIONS_OF.items())
        for action in sorted(actions)
        if (entity, action) not in _SUBSCRIBED and _any_takes(naming, source, entity, action)
    )


def taken_types(config: Config, source: str) -> tuple[str, ...]:
    """Every type that amoCRM has and some route may take from this source, `leads.mail_in`, in a fixed order."""
    return tuple(
        f"{entity}.{action}"
        for entity, actions in sorted(ACTIONS_OF.items())
        for action in sorted(actions)
        if _taken(config, source, entity, action)
    )


def _taken(config: Config, source: str, entity: str, action: str) -> bool:
    return _any_takes(config.routes, source, entity, action)


def _any_takes(routes: Collection[Route], source: str, entity: str, action: str) -> bool:
    event = Event(id="", source=source, received_at=_NEVER, account={}, entity=entity, action=action, data={})
    return any(_may_take(route, event) for route in routes if not route.unparsed)


def _may_take(route: Route, event: Event) -> bool:
    return all(
        condition.holds(field_reader(field)(event))
        for field, condition in route.match.items()
        if field in EVENT_FIELDS and not _is_of_data(field, condition)
    )


def _is_of_data(field: str, condition: Condition) -> bool:
    """Whether a condition on `type` is on the one in `data`: an event's own has a dot."""
    return field == "type" and any("." not in text for text in condition.any_of or ())
