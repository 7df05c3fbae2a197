"""Answers in amoCRM's form: HAL lists, problem documents, pages of HTML."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import orjson

from tests.fakeamo.query import Query
from tests.fakeamo.values import FakeAnswer, Fields, Json

HAL = {"Content-Type": "application/hal+json"}
PROBLEM = {"Content-Type": "application/problem+json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}

NOTHING = FakeAnswer(status=204)
"""An empty list, a page past the end, an unknown id."""


def hal(document: Json, status: int = 200) -> FakeAnswer:
    return FakeAnswer(status=status, headers=HAL, body=orjson.dumps(document))


def problem(status: int, detail: str = "", **more: Json) -> FakeAnswer:
    document = {
        "title": HTTPStatus(status).phrase,
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": detail,
    }
    return FakeAnswer(status=status, headers=PROBLEM, body=orjson.dumps({**more, **document}))


def invalid(code: str, path: str, detail: str) -> FakeAnswer:
    """A 400 that names the field."""
    errors = [{"request_id": "0", "errors": [{"code": code, "path": path, "detail": detail}]}]
    return problem(400, "Request validation failed", **{"validation-errors": errors})


def page_of_nginx(status: int) -> FakeAnswer:
    said = f"{status} {HTTPStatus(status).phrase}"
    page = (
        f"<html>\r\n<head><title>{said}</title></head>\r\n<body><center><h1>{said}</h1></center></body>\r\n</html>\r\n"
    )
    return FakeAnswer(status=status, headers=HTML, body=page.encode())


def listed(
    name: str, items: Sequence[Fields], query: Query, base: str, *, most: int = 250, totals: bool = False
) -> FakeAnswer:
    """A page of items; 204 if it would be empty, 422 if it would be too large."""
    limit, page = query.number("limit", 50), query.number("page", 1)
    if limit > most or limit < 1:
        return problem(422, f"Limit of {most} per page")
    start = (max(page, 1) - 1) * limit
    if start >= len(items):
        return NOTHING
    links: dict[str, Json] = {"self": {"href": href(base, query, page, limit)}}
    if start + limit < len(items):
        links["next"] = {"href": href(base, query, page + 1, limit)}
    document: dict[str, Json] = {"_page": page, "_links": links}
    if totals:
        document["_total_items"] = len(items)
        document["_page_count"] = -(-len(items) // limit)
    return hal({**document, "_embedded": {name: [*items[start : start + limit]]}})


def href(base: str, query: Query, page: int, limit: int) -> str:
    rest = [(name, text) for name, text in query.pairs if name not in ("page", "limit")]
    return f"{base}{query.path}?{urlencode([*rest, ('limit', limit), ('page', page)])}"


def with_self(item: Fields, base: str, path: str) -> Fields:
    return {**item, "_links": {"self": {"href": f"{base}{path}/{item['id']}"}}}


def header(headers: Mapping[str, str], name: str) -> str:
    """A header's value, whatever its case; empty if it is not there."""
    return next((text for key, text in headers.items() if key.lower() == name.lower()), "")
