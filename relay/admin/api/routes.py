"""Operations -> routes of /api/v1: request -> parameters -> desk -> document."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from relay.admin.api.asking import Asking
from relay.admin.api.openapi import BODY, openapi
from relay.admin.api.tail import TAIL, ApiTail
from relay.admin.auth import ASKER
from relay.observe import EventStream
from relay.operations.asker import Role
from relay.operations.desk import Operation
from relay.operations.documents.acts import AcceptedDocument
from relay.operations.documents.encoding import encode
from relay.operations.reading import Fault, InvalidParameters, parameters, parameters_of_query
from relay.operations.registry import OPERATIONS

PREFIX = "/api/v1"
KEY = "Idempotency-Key"
MAX_KEY = 200  # characters


class Api:
    """The routes of all operations, of acts that go on after their answer, of the stream, and their description."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking

    def routes(self, stream: EventStream) -> list[web.RouteDef]:
        """Every route of the API."""
        document = encode(openapi(OPERATIONS))
        return [
            *(web.route(each.method, PREFIX + each.path, self._handler(each)) for each in OPERATIONS),
            web.get(PREFIX + BODY.path, self._body),
            web.get(PREFIX + TAIL.path, ApiTail(stream).get),
            web.get(f"{PREFIX}/openapi.json", partial(_answer_bytes, document)),
        ]

    def _handler(self, operation: Operation[Any, Any]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            given = await _given(request, operation)
            if operation.method == "GET":
                asked = parameters_of_query(operation.parameters, given, now=self.asking.now())
                return _tagged(request, await self.asking.ask(request[ASKER], operation, asked))
            if operation.role is Role.VIEWER:  # a question: its document, which may be large, is not kept
                asked = parameters(operation.parameters, given, now=self.asking.now(), strict=True)
                _key(request)
                return _answer(await self.asking.ask(request[ASKER], operation, asked))
            return await self._acted(request, operation, given)

        return handle

    async def _acted(
        self, request: web.Request, operation: Operation[Any, Any], given: dict[str, Any]
    ) -> web.StreamResponse:
        acted = await self.asking.act(request[ASKER], operation, given, key=_key(request))
        if acted.document is not None:
            return _answer(acted.document)
        location: dict[str, str] = {hdrs.LOCATION: f"{PREFIX}/acts/{acted.id}"}
        return _answer(AcceptedDocument(act=acted.id), status=202, headers=location)

    async def _body(self, request: web.Request) -> web.Response:
        """The bytes as they came; never as HTML, whatever the webhook said that they are."""
        body = await self.asking.body(request[ASKER], request.match_info["id"])
        headers = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: BODY.content_type, **headers})

    async def close(self, _app: web.Application) -> None:
        """Cancel the acts that are under way."""
        await self.asking.close()


# ---- requests


async def _given(request: web.Request, operation: Operation[Any, Any]) -> dict[str, Any]:
    """What is in the path and the query, or in the path and the body."""
    named = dict(request.match_info)
    if operation.method == "GET":
        query = {name: request.query.getall(name) for name in request.query}
        return query | {name: [value] for name, value in named.items()}
    if request.query:
        name = next(iter(request.query))
        raise InvalidParameters(Fault(pointer=f"/{name}", detail="parameters of an act stand in a JSON body"))
    body = await _body(request)
    if twice := [name for name in named if name in body]:
        raise InvalidParameters(Fault(pointer=f"/{twice[0]}", detail="stands in the path already"))
    return body | named


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidParameters(Fault(pointer="", detail=f"the body is not JSON: {error}")) from error
    if not isinstance(body, dict):
        raise InvalidParameters(Fault(pointer="", detail="the body is not a JSON object"))
    return body


def _key(request: web.Request) -> str | None:
    key = request.headers.get(KEY)
    if key is not None and not re.fullmatch(rf"[\x21-\x7e]{{1,{MAX_KEY}}}", key):
        raise InvalidParameters(Fault(pointer="", detail=f"{KEY}: 1 to {MAX_KEY} printable ASCII characters, no blank"))
    return key


# ---- answers


def _tagged(request: web.Request, document: object) -> web.Response:
    """With its ETag, if the document has one; 304 for a client that has it already."""
    if (etag := getattr(document, "etag", None)) is None:
        return _answer(document)
    answer = _answer(document)
    answer.etag = etag
    if request.if_none_match and any(each.value in (etag, "*") for each in request.if_none_match):
        return web.Response(status=304, headers={hdrs.ETAG: answer.headers[hdrs.ETAG]})
    return answer


def _answer(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return _response(encode(document), status, headers or {})


async def _answer_bytes(body: bytes, _request: web.Request) -> web.Response:
    return _response(body, 200, {})


def _response(body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        headers={hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store", **headers},
    )
