"""One HTTP attempt: request -> Outcome. Whatever the target does, an Outcome comes back, within the deadline."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from relay.delivery.retry import parse_retry_after
from relay.errors import ConfigurationError
from relay.http.client import Client, Endpoint, TargetResponse, fast_client
from relay.http.request import Request
from relay.model import Outcome, Reason, Tls
from relay.tls import client_context

MAX_ANSWER = 16 * 1024  # bytes we read of an answer, so that its connection can be used again
MAX_DETAIL = 1_000  # characters we keep of it
ANSWER_TIMEOUT = 1.0  # seconds for an answer's body: the status has decided already

PORTS = {"http": 80, "https": 443}

_TLS_OBJECT = re.compile(" ssl:(default|True|<[^>]*>)")


Origin = tuple[str, str | None, int | None]
"""Scheme, host and port."""


class Sender:
    """Sends to one target over connections of its own, so that no target can use up another's."""

    def __init__(self, *, clock: Callable[[], datetime], new_client: Callable[[], Client] = fast_client) -> None:
        self._clock = clock
        self._client = new_client()
        self._known: tuple[str, Tls | None] | None = None
        self._deadlines: dict[asyncio.Timeout, tuple[str, float]] = {}  # of what is under way: the URL, and seconds

    async def send(
        self,
        request: Request,
        *,
        timeout: timedelta,  # noqa: ASYNC109  one deadline for all
        tls: Tls | None = None,
    ) -> Outcome:
        """One attempt. A kept connection that turns out to be closed is replaced once, in the same attempt."""
        started_at, start = self._clock(), perf_counter()
        answer = await self._send(request, timeout.total_seconds(), tls)
        return Outcome(
            reason=answer.reason,
            started_at=started_at,
            took=timedelta(seconds=perf_counter() - start),
            status=answer.status,
            retry_after=parse_retry_after(answer.retry_after, now=self._clock()) if answer.retry_after else None,
            detail=_masked(answer.detail, request.secrets)[:MAX_DETAIL],
        )

    def bound(self, place: Origin, timeout: timedelta) -> None:
        """What is under way to this place may take so long from its beginning, and ends now if it has."""
        seconds = timeout.total_seconds()
        for deadline, (url, before) in self._deadlines.items():
            if before != seconds and not deadline.expired() and origin(url) == place:
                deadline.reschedule((deadline.when() or 0.0) - before + seconds)
                self._deadlines[deadline] = (url, seconds)

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def _send(self, request: Request, seconds: float, tls: Tls | None) -> "_Told":
        try:
            address = self._address(request.url, tls)
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines[deadline] = (request.url, seconds)
                try:
                    answer = await self._client.post(address, request)
                finally:
                    del self._deadlines[deadline]
        except ConfigurationError as error:
            return _Told(reason=Reason.TLS, detail=str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return _Told(reason=_reason_of(error), detail=_text(error))
        said = await _read(answer, deadline.when() or 0.0)
        return _Told(
            reason=reason_of_status(answer.status),
            status=answer.status,
            retry_after=answer.headers.get("retry-after"),
            detail=f"{_redirect(answer)} {said}".strip() if 300 <= answer.status <= 399 else said,
        )

    def _address(self, url: str, tls: Tls | None) -> Endpoint:
        """Made once for the same files. Connections of another context are not used again: aiohttp keeps them apart."""
        if self._known != (url, tls):
            self._made = self._client.endpoint(url, client_context(tls) if tls else None)
            self._known = (url, tls)
        return self._made


class _Told(NamedTuple):
    """What came back; `status` None if nothing did."""

    reason: Reason
    status: int | None = None
    retry_after: str | None = None
    detail: str = ""


async def _read(answer: TargetResponse, deadline: float) -> str:
    """The start of the answer. What goes wrong here changes nothing, and an answer too long costs its connection."""
    start = bytearray()
    try:
        if answer.body.is_eof():  # it came with the headers, as most do
            start += answer.body.read_nowait(MAX_ANSWER)
        else:
            async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + ANSWER_TIMEOUT)):
                while len(start) <= MAX_ANSWER and (chunk := await answer.body.read(MAX_ANSWER)):
                    start += chunk
    except (aiohttp.ClientError, OSError, ValueError):
        pass
    finally:
        answer.end()
    return start[: MAX_DETAIL * 4].decode(errors="replace")


def _redirect(answer: TargetResponse) -> str:
    """Where to: it is not followed, but somebody may want to ask there in the first place."""
    location = answer.headers.get("location", "")
    return f"Location: {location.encode(errors='surrogateescape').decode(errors='replace')}" if location else ""


def origin(url: str) -> Origin:
    """`https://bot.example/in` -> `("https", "bot.example", 443)`; whatever it is of a URL that cannot be asked."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return url, None, None


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def reason_of_status(status: int) -> Reason:
    """The class of a status; 408 and 425 are ordinary 4xx."""
    if status == 429:
        return Reason.TOO_MANY
    classes = {2: Reason.OK, 3: Reason.REDIRECT, 4: Reason.CLIENT_ERROR, 5: Reason.SERVER_ERROR}
    return classes.get(status // 100, Reason.OTHER_STATUS)


def _reason_of(error: Exception) -> Reason:
    match error:
        case TimeoutError():
            return Reason.TIMEOUT
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            return Reason.TLS
        case aiohttp.ClientOSError(__cause__=ssl.SSLError()):
            return Reason.TLS  # TLS 1.3 says after the handshake that it misses our certificate
        case aiohttp.ClientConnectorError(os_error=ConnectionError(errno=None)):
            return Reason.TLS  # the connection was there, and ended in the handshake
        case aiohttp.ClientConnectorError():
            return Reason.CONNECT
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | aiohttp.ClientConnectionResetError():
            return Reason.DISCONNECTED
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Reason.REQUEST
        case aiohttp.ClientError():
            return Reason.PROTOCOL
        case ValueError():
            return Reason.REQUEST  # a header that HTTP cannot carry
        case _:
            return Reason.CONNECT


def _text(error: Exception) -> str:
    """The error's own text, but never the URL, which may hold a secret."""
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "not a URL that a request can be sent to"
        case aiohttp.ClientConnectorError(os_error=ConnectionError(errno=None)):
            return "the connection was closed in the TLS handshake"
        case aiohttp.ClientConnectorError():
            return _TLS_OBJECT.sub("", str(error))
        case aiohttp.ClientOSError():
            return str(error.__cause__ or type(error).__name__)  # its own text may have the URL
        case _:
            return str(error) or type(error).__name__
