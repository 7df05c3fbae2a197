"""An account's API -> the catalog of its names, in about seven requests.

Read defensively: an item without an id or a name is left out. What the token has no right to (users are for
administrators) and what the account does not have (customers) stays as it was known before.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from relay.errors import AccountAway, Forbidden, RequestRefused
from relay.model import Json
from relay.model.names import Catalog, CustomField, Pipeline, Stage, User

T = TypeVar("T")

LIMIT = 250  # of a page; custom fields are said to come 50 at a time, so that only `next` tells of the last page
MOST_PAGES = 100
WITH_FIELDS = ("leads", "contacts", "companies", "customers")


class Api(Protocol):
    """What is asked of an account."""

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Mapping[str, Json] | None:
        """Return the answer's JSON, None for nothing; raises an AccountError."""


async def fetch_catalog(api: Api, host: str, known: Catalog | None, *, now: datetime) -> Catalog:
    """Ask for every name; `known` has what there was before. Raises an AccountError if nothing can be learned."""
    pipelines = [each async for each in _items(api, "leads/pipelines", "pipelines", _pipeline)]
    users = await _or_known(api, "users", "users", _user, known.users if known else ())
    fields: list[CustomField] = []
    for entity in WITH_FIELDS:
        before = tuple(each for each in (known.custom_fields if known else ()) if each.entity == entity)
        fields += await _or_known(api, f"{entity}/custom_fields", "custom_fields", _field_of(entity), before)
    return Catalog(
        host=host,
        as_of=now,
        # every account has some of both: an empty list says that this token does not see them
        pipelines=tuple(pipelines) or (known.pipelines if known else ()),
        users=users or (known.users if known else ()),
        custom_fields=tuple(fields),
    )


async def _or_known(
    api: Api, path: str, key: str, read: Callable[[Mapping[str, Json]], T | None], known: tuple[T, ...]
) -> tuple[T, ...]:
    try:
        return tuple([each async for each in _items(api, path, key, read)])
    except (Forbidden, RequestRefused):
        return known


async def _items(api: Api, path: str, key: str, read: Callable[[Mapping[str, Json]], T | None]) -> AsyncIterator[T]:
    for page in range(1, MOST_PAGES + 1):
        answer = await api.get(f"/api/v4/{path}", {"limit": LIMIT, "page": page})
        for item in _list(answer, "_embedded", key):
            if isinstance(item, Mapping) and (found := read(item)):
                yield found
        if not _at(answer, "_links", "next"):
            return
    raise AccountAway(f"GET /api/v4/{path}: over {MOST_PAGES} pages")


def _pipeline(item: Mapping[str, Json]) -> Pipeline | None:
    if not _is_named(item):
        return None
    stages = [each for each in _list(item, "_embedded", "statuses") if isinstance(each, Mapping) and _is_named(each)]
    return Pipeline(
        id=item["id"],
        name=item["name"],
        archived=bool(item.get("is_archive")),
        stages=tuple(Stage(id=each["id"], name=each["name"]) for each in stages),
    )


def _user(item: Mapping[str, Json]) -> User | None:
    return User(id=item["id"], name=item["name"], email=_text(item.get("email"))) if _is_named(item) else None


def _field_of(entity: str) -> Callable[[Mapping[str, Json]], CustomField | None]:
    def read(item: Mapping[str, Json]) -> CustomField | None:
        if not _is_named(item):
            return None
        return CustomField(id=item["id"], name=item["name"], code=_text(item.get("code")), entity=entity)

    return read


def _is_named(item: Mapping[str, Json]) -> bool:
    return type(item.get("id")) is int and item["id"] > 0 and bool(_text(item.get("name")))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _list(answer: Mapping[str, Json] | None, *path: str) -> list[Json]:
    found = _at(answer, *path)
    return found if isinstance(found, list) else []


def _at(answer: Json, *path: str) -> Json:
    for key in path:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    return answer
