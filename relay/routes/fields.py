"""Event x field name -> the texts of that field's values, as matches compare them.

source, entity, action     one value each
account                    the account's id and its subdomain
query.<name>               what the webhook's address had under that name in its query
custom_fields.<id>         the values of that custom field and the ids of their enums
anything else              a field of `data` by name or dotted path; lists are walked through: tags.name
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from relay.model import Event, Json

WON_AND_LOST = {"won": "142", "lost": "143"}
"""amoCRM's two closing statuses, the same in every pipeline (amoCRM, API v4, "Pipelines and statuses")."""


def values_of(event: Event, field: str) -> tuple[str, ...]:
    """Every value of `field`, as text and in order; empty when the event has none.

    None is "", true and false are "true" and "false", a mapping is its JSON.
    """
    return reader(field)(event)


@lru_cache(maxsize=4096)
def reader(field: str) -> Callable[[Event], tuple[str, ...]]:
    """What `values_of` does for one field, for those who ask for it again and again."""
    match field:
        case "source":
            return lambda event: (event.source,)
        case "entity":
            return lambda event: (event.entity,)
        case "action":
            return lambda event: (event.action,)
        case "account":
            return lambda event: tuple(as_text(event.account[k]) for k in ("id", "subdomain") if k in event.account)
    if field.startswith("query."):
        return _of_query(field.removeprefix("query."))
    return _of_data(field)


def _of_query(name: str) -> Callable[[Event], tuple[str, ...]]:
    return lambda event: tuple(as_text(value) for value in _leaves(event.query.get(name, []), ()))


def _of_data(field: str) -> Callable[[Event], tuple[str, ...]]:
    def read(event: Event) -> tuple[str, ...]:
        value = event.data.get(field)
        if type(value) is int:  # an id or a time: what routes ask for most
            return (str(value),)
        return tuple(as_text(value) for value in _found(event.data, field))

    return read


def as_text(value: Json) -> str:
    """A value as matches compare it."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Mapping() | list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def is_status(field: str) -> bool:
    """True for `status_id`, `old_status_id` and the like, where `won` and `lost` are words."""
    return field.rpartition(".")[2] == "status_id" or field.endswith("_status_id")


def _found(data: Mapping[str, Json], field: str) -> Iterator[Json]:
    if field in data:
        return _leaves(data[field], ())
    first, *rest = field.split(".")
    if first == "custom_fields" and len(rest) == 1 and rest[0].isdecimal():
        return _custom(data.get(first), rest[0])
    return _leaves(data.get(first), rest) if rest and first in data else iter(())


def _leaves(value: Json, path: Sequence[str]) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _leaves(value[path[0]], path[1:])


def _custom(custom_fields: Json, field_id: str) -> Iterator[Json]:
    for custom_field in custom_fields if isinstance(custom_fields, list) else ():
        if isinstance(custom_field, Mapping) and as_text(custom_field.get("id")) == field_id:
            yield from _leaves(custom_field, ("values", "value"))
            yield from _leaves(custom_field, ("values", "enum"))
