"""A request to an account's host -> its whole answer, over verified TLS. Redirects are not followed.

A token goes to that host alone: none to where a redirect points, no cookie is kept, no proxy of the environment used.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

import relay
from relay.account.answers import Answer
from relay.errors import AccountAway
from relay.http.resolver import CACHE_SECONDS, Resolver
from relay.model import Json
from relay.os_errors import os_error_text

Params: TypeAlias = Mapping[str, str | int | Sequence[str | int]]
"""A list repeats its name: `{"filter[type][]": ["lead_added", "lead_deleted"]}`."""

CONNECT_TIMEOUT = 5.0
TIMEOUT = 20.0  # seconds for one request, until its answer is read
MAX_BODY = 32 * 1024 * 1024  # bytes; 250 leads with 500 custom fields each are less
CONNECTIONS = 4
_CHUNK = 64 * 1024


class ConnectionLost(AccountAway):
    """The connection ended without an answer: a kept one may have been closed meanwhile."""


class Session:
    """Connections to one account's host, `url`. Needs a running loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, resolver=Resolver(), ttl_dns_cache=CACHE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            headers={"User-Agent": f"amocrm-relay/{relay.__version__}", "Accept": "application/json"},
            trust_env=False,
        )

    async def ask(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send it, `body` as JSON; AccountAway if there is no whole answer to it."""
        what = f"{method} {path}"
        try:
            async with self._session.request(
                method,
                self._address(path, params),
                data=None if body is None else orjson.dumps(body),
                headers={**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})},
                allow_redirects=False,
                middlewares=(_Once(),),
            ) as response:
                whole = await _read(response.content, what)
                named = {name.lower(): value for name, value in response.headers.items()}
                return Answer(status=response.status, headers=named, body=whole)
        except aiohttp.ConnectionTimeoutError:
            raise AccountAway(f"{what}: no connection to {self._url} within {CONNECT_TIMEOUT:g} s") from None
        except TimeoutError:
            raise AccountAway(f"{what}: no answer within {TIMEOUT:g} s") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
            raise ConnectionLost(f"{what}: the connection was closed without an answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AccountAway(f"{what}: {_why(error)}") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # aiohttp closes transports in the loop's next turn

    def _address(self, path: str, params: Params | None) -> URL:
        query = f"?{urlencode(params, doseq=True)}" if params else ""
        return URL(f"{self._url}{path}{query}", encoded=True)


class _Once:
    """A middleware for one request: aiohttp repeats some by itself, which the limiter would not know of."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._sent:
            raise aiohttp.ServerDisconnectedError
        self._sent = True
        return await handler(request)


async def _read(content: aiohttp.StreamReader, what: str) -> bytes:
    whole = bytearray()
    while chunk := await content.read(_CHUNK):
        whole += chunk
        if len(whole) > MAX_BODY:
            raise AccountAway(f"{what}: the answer is over {MAX_BODY} bytes")
    return bytes(whole)


def _why(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not valid for the host: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port}: {os_error_text(error.os_error)}"
        case aiohttp.ClientPayloadError():
            return "the answer was cut short"
        case _:
            return type(error).__name__
