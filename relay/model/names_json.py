"""Catalog <-> the JSON of a names file: what `relay names --export` prints and the cache on disk holds. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from relay.model.names import Catalog, CustomField, Pipeline, Stage, User
from relay.model.values import Json
from relay.rfc3339 import rfc3339

T = TypeVar("T")

VERSION = 1


class NamesUnreadable(Exception):
    """Not a names file; the text says where, and why."""


def to_json(catalog: Catalog) -> dict[str, Json]:
    """Only what is not a default, so that a file under version control shows what changed."""
    return {
        "version": VERSION,
        "host": catalog.host,
        "as_of": rfc3339(catalog.as_of),
        "pipelines": [_pipeline(each) for each in catalog.pipelines],
        "users": [{**_named(each), **_given(email=each.email)} for each in catalog.users],
        "custom_fields": [
            {**_named(each), "entity": each.entity, **_given(code=each.code)} for each in catalog.custom_fields
        ],
    }


def _pipeline(pipeline: Pipeline) -> dict[str, Json]:
    return {**_named(pipeline), **_given(archived=pipeline.archived), "stages": [_named(s) for s in pipeline.stages]}


def _named(thing: Pipeline | Stage | User | CustomField) -> dict[str, Json]:
    return {"id": thing.id, "name": thing.name, **_given(former=list(thing.former), gone=thing.gone)}


def _given(**values: Json) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value}


# ---- and back


def from_json(value: Json) -> Catalog:
    """Read a names file; NamesUnreadable says what is wrong with it."""
    whole = _mapping(value, "it")
    if whole.get("version") != VERSION:
        raise NamesUnreadable(f"version must be {VERSION}")
    try:
        as_of = datetime.fromisoformat(_text(whole, "as_of", ""))
    except ValueError:
        raise NamesUnreadable("as_of must be a time like 2026-11-22T10:53:00Z") from None
    if as_of.tzinfo is None:
        raise NamesUnreadable("as_of must have a time zone, like Z")
    return Catalog(
        host=_text(whole, "host", ""),
        as_of=as_of,
        pipelines=_each(whole, "pipelines", "", _read_pipeline),
        users=_each(whole, "users", "", lambda item, at: User(**_read(item, at), email=_text(item, "email", at, ""))),
        custom_fields=_each(whole, "custom_fields", "", _read_field),
    )


def _read_pipeline(item: Mapping[str, Json], at: str) -> Pipeline:
    stages = _each(item, "stages", at, lambda stage, where: Stage(**_read(stage, where)))
    return Pipeline(**_read(item, at), stages=stages, archived=_flag(item, "archived", at))


def _read_field(item: Mapping[str, Json], at: str) -> CustomField:
    return CustomField(**_read(item, at), entity=_text(item, "entity", at), code=_text(item, "code", at, ""))


def _read(item: Mapping[str, Json], at: str) -> dict[str, Any]:
    id_, former = item.get("id"), item.get("former", [])
    if type(id_) is not int or id_ < 1:
        raise NamesUnreadable(f"{at}.id must be a positive number")
    if not isinstance(former, list) or not all(isinstance(each, str) for each in former):
        raise NamesUnreadable(f"{at}.former must be a list of texts")
    return {"id": id_, "name": _text(item, "name", at), "former": tuple(former), "gone": _flag(item, "gone", at)}


def _each(whole: Mapping[str, Json], key: str, at: str, read: Callable[[Mapping[str, Json], str], T]) -> tuple[T, ...]:
    where = f"{at}.{key}".removeprefix(".")
    items = whole.get(key, [])
    if not isinstance(items, list):
        raise NamesUnreadable(f"{where} must be a list")
    places = [f"{where}[{position}]" for position in range(len(items))]
    return tuple(read(_mapping(item, place), place) for item, place in zip(items, places, strict=True))


def _mapping(value: Json, at: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise NamesUnreadable(f"{at} must be an object")
    return value


def _text(item: Mapping[str, Json], key: str, at: str, default: str | None = None) -> str:
    value = item.get(key, default)
    if not isinstance(value, str):
        raise NamesUnreadable(f"{at}.{key} must be a text".removeprefix("."))
    return value


def _flag(item: Mapping[str, Json], key: str, at: str) -> bool:
    value = item.get(key, False)
    if not isinstance(value, bool):
        raise NamesUnreadable(f"{at}.{key} must be true or false")
    return value
