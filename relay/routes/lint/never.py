"""Config -> warnings about matches, or parts of them, that can never hold, or hardly were meant so."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.fields import WON_AND_LOST, is_status
from relay.routes.match import Route
from relay.routes.problems import Finding, Where
from relay.routes.words import nearest, quoted, suggestion

FIELDS = frozenset(
    {
        "account",
        "account_id",
        "action",
        "catalog_id",
        "category",
        "chat_id",
        "complete_till",
        "contact_id",
        "created_at",
        "created_by",
        "created_user_id",
        "custom_fields",
        "date_create",
        "element_id",
        "element_type",
        "entity",
        "entity_id",
        "entity_type",
        "id",
        "last_modified",
        "lead_id",
        "linked_leads_id",
        "modified_user_id",
        "name",
        "next_price",
        "note_type",
        "old_period_id",
        "old_pipeline_id",
        "old_responsible_user_id",
        "old_status_id",
        "origin",
        "period_id",
        "pipeline_id",
        "price",
        "query",
        "responsible_user_id",
        "source",
        "status_id",
        "tags",
        "talk_id",
        "task_type",
        "text",
        "type",
        "uid",
        "updated_at",
        "updated_by",
    }
)
"""Fields that routes ask for (the same pages). amoCRM sends more, so only what is nearly one of them is odd."""

NEARLY = 0.75
"""difflib's ratio: `status` is that near to `status_id`, `pipelin` to `pipeline_id`."""


def never(config: Config) -> Iterator[Finding]:
    """The places in matches that no event satisfies, with a reason for each."""
    for position in range(len(config.routes)):
        yield from _why_never(config, position)


def _why_never(config: Config, position: int) -> Iterator[Finding]:
    route = config.routes[position]
    where = ("routes", position, "match")
    yield from _unknown_words(config, route, where)
    yield from _misspelt_fields(route, where)
    yield from _unknown_statuses(config, route, where)
    yield from _company_as_contact(route, where)
    for field, condition in route.match.items():
        if reason := _contradiction(condition):
            yield (*where, field), reason


def _unknown_words(config: Config, route: Route, where: Where) -> Iterator[Finding]:
    for field, known in (("entity", ENTITIES), ("action", ACTIONS), ("source", config.sources.keys())):
        for place, text in _texts(config, (*where, field)) if field in route.match else ():
            if text not in known:
                what = f"no {field}" if field == "source" else f"amoCRM is not known to send the {field}"
                yield place, f"{what} {quoted(text)} {suggestion(text, sorted(known))}"


def _misspelt_fields(route: Route, where: Where) -> Iterator[Finding]:
    for field in route.match:
        first = field.partition(".")[0]
        near = None if first in FIELDS else nearest(first, sorted(FIELDS), cutoff=NEARLY)
        if near:
            yield (
                (*where, field),
                f"amoCRM is not known to send the field {quoted(first)} (did you mean {quoted(near)}?)",
            )


def _unknown_statuses(config: Config, route: Route, where: Where) -> Iterator[Finding]:
    for field in filter(is_status, route.match):
        value = config.document.at((*where, field))
        unwanted = isinstance(value, Mapping) and "not" in value
        for place, text in _texts(config, (*where, field, "not") if unwanted else (*where, field)):
            if text not in WON_AND_LOST and not text.isdecimal():
                yield place, f"a status is a number, won or lost, and never {quoted(text)}"


def _texts(config: Config, where: Where) -> Iterator[tuple[Where, str]]:
    """The texts of an equals or any-of at `where`, with their places, but not those that came from variables."""
    value = config.document.at(where)
    if isinstance(value, Mapping):
        return
    places = [(*where, index) for index in range(len(value))] if isinstance(value, list) else [where]
    for place in places:
        if place not in config.document.written:
            yield place, str(config.document.at(place))


def _company_as_contact(route: Route, where: Where) -> Iterator[Finding]:
    entity, kind = route.match.get("entity"), route.match.get("type")
    if entity and kind and entity.any_of == frozenset({"contacts"}) and kind.any_of == frozenset({"company"}):
        yield (*where, "type"), "never matches: a company's events have the entity 'companies'"


def _contradiction(condition: Condition) -> str | None:
    if condition.exists is False and condition.asks_for_a_value:
        return "never matches: a field that is absent has no value"
    bounds = dict(condition.bounds)
    lowest = max((bounds[name] for name in ("gt", "gte") if name in bounds), default=Decimal("-Infinity"))
    highest = min((bounds[name] for name in ("lt", "lte") if name in bounds), default=Decimal("Infinity"))
    strict = bounds.get("gt") == lowest or bounds.get("lt") == highest
    if lowest > highest or (lowest == highest and strict):
        return "never matches: no number is in this range"
    return None
