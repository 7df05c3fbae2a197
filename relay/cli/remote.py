"""An operation and its parameters -> the JSON API of a relay elsewhere -> the document, or the error that it says.

`RELAY_TOKEN` is the token; it is in no argument, which other users of this machine could read.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, assert_never
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import msgspec
import orjson

from relay import __version__
from relay.cli import NotDone
from relay.cli.options import token_of
from relay.cli.output import note
from relay.errors import RelayError
from relay.model import Json, Tls
from relay.operations.desk import Operation
from relay.operations.documents.acts import AcceptedDocument, ActDocument, ActState
from relay.operations.documents.encoding import encode
from relay.operations.problem_types import error_of
from relay.os_errors import os_error_text
from relay.tls import client_context

P = TypeVar("P")
D = TypeVar("D")
T = TypeVar("T")

API = "/api/v1"
JSON = "application/json"
PROBLEM = "application/problem+json"
LOOK_EVERY = 0.5  # seconds, after an act that takes long
TIMEOUT = 60.0  # seconds in which a relay says something
MAX_SHOWN = 200  # characters of an answer that is not understood


@asynccontextmanager
async def session_with(url: str, token: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that shows the token, and trusts the CA in RELAY_CA beside those of the system."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    ca = os.environ.get("RELAY_CA")
    context: ssl.SSLContext | bool = client_context(Tls(ca=Path(ca))) if ca and url.startswith("https:") else True
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=TIMEOUT),
        connector=aiohttp.TCPConnector(ssl=context),
    ) as session:
        yield session


@asynccontextmanager
async def remote_desk(url: str) -> AsyncIterator["RemoteDesk"]:
    """The desk of the relay at `url`."""
    token = token_of("RELAY_TOKEN")
    async with session_with(url, token) as session:
        yield RemoteDesk(url, session)


class RemoteDesk:
    """`ask` as `operations.Desk` has it. Errors of the relay are what they are there; those on the way are NotDone."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, operation: Operation[P, D], parameters: P) -> D:
        """Ask, and wait for the document, also of an act that takes long."""
        path, given = _placed(operation, parameters)
        if operation.method == "GET":
            answer = await self._request("GET", path, params=_query(given))
        else:
            headers = {"content-type": "application/json", "idempotency-key": str(uuid4())}
            answer = await self._request(operation.method, path, data=encode(given), headers=headers)
        if answer.status == 202:
            return await self._ended(operation, self._read(answer, AcceptedDocument).act)
        if answer.status != 200:
            await self._refuse(operation, answer)
        return self._read(answer, operation.document)

    async def _ended(self, operation: Operation[Any, D], act: str) -> D:
        """Look after an act until it has ended. It goes on if nobody does."""
        note(f"the relay at {self._url} has begun, and goes on if this is interrupted: act {act}")
        while True:
            await asyncio.sleep(LOOK_EVERY)
            answer = await self._request("GET", f"/acts/{act}")
            if answer.status != 200:
                await self._refuse(operation, answer)
            found = self._read(answer, ActDocument)
            match found.state:
                case ActState.RUNNING:
                    continue
                case ActState.DONE:
                    return msgspec.convert(found.document, operation.document)
                case ActState.FAILED:
                    raise _problem(found.problem)
                case ActState.INTERRUPTED:
                    raise NotDone("the relay ended in its midst: what was done stays, repeat it for the rest")
                case ActState.STOPPED:
                    raise NotDone("it was stopped: what was done stays, repeat it for the rest")
                case never:
                    assert_never(never)

    async def _request(self, method: str, path: str, **more: Any) -> "_Answer":
        try:
            async with self._session.request(method, f"{self._url}{API}{path}", allow_redirects=False, **more) as got:
                return _Answer(status=got.status, kind=got.content_type, body=await got.read())
        except (aiohttp.ClientError, OSError) as error:
            unreachable(self._url, error)

    def _read(self, answer: "_Answer", document: type[T]) -> T:
        if answer.kind != JSON:
            raise NotDone(f"{self._url} {said(answer.status, answer.body)}: is it a relay's --admin address?")
        try:
            return msgspec.json.decode(answer.body, type=document)
        except msgspec.DecodeError as error:
            raise NotDone(
                f"the relay at {self._url} answers in a form that this command does not know ({error}):"
                f" use version {__version__} on both sides"
            ) from error

    async def _refuse(self, operation: Operation[Any, Any], answer: "_Answer") -> NoReturn:
        if answer.status in (401, 429):
            text = _detail(answer)
            refused(self._url, answer.status, text, shown="authorization" in self._session.headers)
        if answer.status == 404 and (version := await self._version_without(operation)):
            raise NotDone(
                f"the relay at {self._url} is of version {version} and has no {operation.method} {operation.path}:"
                f" this command is of version {__version__}"
            )
        if answer.kind == PROBLEM:
            raise _problem(orjson.loads(answer.body))
        raise NotDone(f"{self._url} {said(answer.status, answer.body)}: is it a relay's --admin address?")

    async def _version_without(self, operation: Operation[Any, Any]) -> str | None:
        """The version of a relay that has the API, and not this operation; else None."""
        answer = await self._request("GET", "/openapi.json")
        if answer.status != 200 or answer.kind != JSON:
            return None
        document = orjson.loads(answer.body)
        path = document.get("paths", {}).get(operation.path, {})
        return None if operation.method.lower() in path else str(document["info"]["version"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    kind: str
    body: bytes


def _problem(found: Json) -> RelayError:
    """The error that the desk there raised."""
    return error_of(str(found.get("type", "")), str(found.get("detail") or found.get("title")))


def _detail(answer: _Answer) -> str:
    """What it says, as a problem or as a line."""
    if answer.kind == PROBLEM:
        return str(orjson.loads(answer.body).get("detail"))
    return answer.body[:MAX_SHOWN].decode(errors="replace").strip()


# ---- the request


def _placed(operation: Operation[Any, Any], parameters: Any) -> tuple[str, dict[str, Any]]:
    """The path with its names filled in, and the other parameters that differ from their default.

    So a relay that does not know a new parameter yet is asked for it only if it is used.
    """
    every = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    named = set(re.findall(r"{(\w+)}", operation.path))
    path = re.sub(r"{(\w+)}", lambda name: quote(str(every[name[1]]), safe=""), operation.path)
    defaults = {each.name: each.default for each in fields(parameters)}
    return path, {name: value for name, value in every.items() if name not in named and value != defaults[name]}


def _query(given: dict[str, Any]) -> list[tuple[str, str]]:
    """`{"state": ["dead", "pending"]}` -> each state a parameter of its own."""
    plain = orjson.loads(encode(given))
    listed = {name: value if isinstance(value, list) else [value] for name, value in plain.items()}
    return [(name, _text(each)) for name, values in listed.items() for each in values]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# ---- what is said if it is not done


def unreachable(at: str, error: Exception) -> NoReturn:
    """NotDone for a relay that does not answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        raise NotDone(f"the certificate of {at} is not trusted ({why}): name its CA by RELAY_CA") from error
    why = os_error_text(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    raise NotDone(f"no relay answers at {at} ({why}): is it running? name its --admin address") from error


def refused(at: str, status: int, text: str, *, shown: bool, variable: str = "RELAY_TOKEN") -> NoReturn:
    """NotDone for a token that was not `shown`, is wrong, has expired, or comes from an address that is locked out."""
    if status == 401 and not shown:
        raise NotDone(f"the relay at {at} wants a token: set {variable}")
    if status == 401 and "expired" not in text:
        text = f"the token in {variable} is not one of its: was it replaced or removed?"
    raise NotDone(f"the relay at {at}: {text}")


def said(status: int, body: bytes) -> str:
    """`answered 502, Bad Gateway`: the first line of what is not understood."""
    line = body[:MAX_SHOWN].decode(errors="replace").strip().partition("\n")[0]
    return f"answered {status}, {line or 'nothing more'}"
