"""Event, field -> the texts of its values, as matches compare them.

source, entity, action     one value each
type                       the event's type and the `type` in its data
account                    the account's id and its subdomain
stage, old_stage           the id of the stage, and pipeline/stage: 142 and 143 are in every pipeline
pipeline, responsible      the id of the pipeline, of the responsible user
account.<path>             that part of the account block
query.<name>               the values of that name in the query string of the webhook's address
heal.<name>                what a healed event says of itself: heal.exactness
data.<path>                that path of `data`; lists are walked through: data.tags.name
anything else              the same without `data.`

Within data, `custom_fields.<X>` are the values, and the ids of enum values, of the custom fields with the id, code or
name X, or with one of the ids in `custom_fields.701,702`; `tags` are the names and ids of the tags.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from relay.model import Event, Json
from relay.model.names import stage_texts

FieldReader = Callable[[Event], tuple[str, ...]]

EVENT_FIELDS = frozenset({"source", "entity", "action", "type"})
"""Fields that every event has."""

NAMED_FIELDS: Mapping[str, str] = {
    "stage": "status_id",
    "old_stage": "old_status_id",
    "pipeline": "pipeline_id",
    "responsible": "responsible_user_id",
}
"""Fields whose conditions are written by name -> those with the ids."""

CUSTOM = "custom_fields"
_OF_ALL_CUSTOM_FIELDS = frozenset({"id", "name", "code", "values"})
"""Keys after `custom_fields.` in a path through all of them; no custom field is called that."""


def values_of(event: Event, field: str) -> tuple[str, ...]:
    """Every value of `field`, as text and in order; empty when the event has none.

    None is "", true and false are "true" and "false", a mapping is its JSON.
    """
    return field_reader(field)(event)


@lru_cache(maxsize=4096)
def field_reader(field: str) -> FieldReader:
    """`values_of` for one field, cached: a compiled match calls it for every event."""
    match field:
        case "source":
            return lambda event: (event.source,)
        case "entity":
            return lambda event: (event.entity,)
        case "action":
            return lambda event: (event.action,)
        case "type":
            return lambda event: (event.type, *_texts(event.data, "type"))
        case "account":
            return lambda event: tuple(as_text(event.account[k]) for k in ("id", "subdomain") if k in event.account)
        case "stage":
            return lambda event: stage_texts(event.data.get("pipeline_id"), event.data.get("status_id"))
        case "old_stage":
            return _old_stage
        case "pipeline" | "responsible":
            return _of_data(NAMED_FIELDS[field])
    first, _, path = field.partition(".")
    match first if path else "":
        case "account":
            return lambda event: _texts(event.account, path)
        case "query":
            return lambda event: _texts(event.query, path)
        case "heal":
            return lambda event: _texts(event.heal or {}, path)
        case "data":
            return _of_data(path, or_else=field)
    return _of_data(field)


def _old_stage(event: Event) -> tuple[str, ...]:
    """Account webhooks name no old pipeline; in most of them it is still the one of the lead."""
    data = event.data
    return stage_texts(data.get("old_pipeline_id", data.get("pipeline_id")), data.get("old_status_id"))


def _of_data(path: str, *, or_else: str | None = None) -> FieldReader:
    """Read `path`, or `or_else` if it is absent: an incoming lead has its own `data` in its data."""

    def read(event: Event) -> tuple[str, ...]:
        value = event.data.get(path)
        if type(value) is int:  # ids and times, the most frequent conditions
            return (str(value),)
        return _texts(event.data, path) or (_texts(event.data, or_else) if or_else else ())

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


def data_path(field: str) -> str:
    """`data.status_id` -> `status_id`, which means the same."""
    return field.removeprefix("data.")


def is_custom(field: str) -> bool:
    """True for `custom_fields.BILL_STATUS`: all that follows is one name, dots included."""
    return data_path(field).startswith(f"{CUSTOM}.")


def is_status(field: str) -> bool:
    """True for `status_id`, `old_status_id` and the like, where `won` and `lost` stand for ids."""
    if is_custom(field) or field.startswith("query."):
        return False
    return field.rpartition(".")[2] == "status_id" or field.endswith("_status_id")


def _texts(data: Mapping[str, Json], path: str) -> tuple[str, ...]:
    return tuple(as_text(value) for value in _found(data, path))


def _found(data: Mapping[str, Json], path: str) -> Iterator[Json]:
    first, *rest = (path,) if path in data else path.split(".")
    if first not in data:
        return iter(())
    leaves = _leaves(data[first], rest)
    if first == CUSTOM and rest and rest[0] not in _OF_ALL_CUSTOM_FIELDS:
        values = tuple(_custom(data[first], path.partition(".")[2]))
        return iter(values) if values or rest[0].isdecimal() else leaves
    return _names_and_ids(leaves) if path.rpartition(".")[2] == "tags" else leaves


def _leaves(value: Json, path: Sequence[str]) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _leaves(value[path[0]], path[1:])


def _custom(custom_fields: Json, wanted: str) -> Iterator[Json]:
    names = _called(wanted)
    for custom_field in custom_fields if isinstance(custom_fields, list) else ():
        if not (type(custom_field) is dict or isinstance(custom_field, Mapping)):
            continue
        get = custom_field.get
        if get("id") in names or get("code") in names or get("name") in names:
            yield from _leaves(custom_field, ("values", "value"))
            yield from _leaves(custom_field, ("values", "enum"))


@lru_cache(maxsize=4096)
def _called(wanted: str) -> tuple[str | int, ...]:
    """`PHONE`, or as an id `7`, too; `7,8` is two ids."""
    return wanted, *(int(each) for each in wanted.split(",") if _IS_ID(each))


_IS_ID = re.compile("[1-9][0-9]{0,18}").fullmatch


def _names_and_ids(tags: Iterator[Json]) -> Iterator[Json]:
    for tag in tags:
        known = [tag[key] for key in ("name", "id") if key in tag] if isinstance(tag, Mapping) else []
        yield from known or (tag,)
