"""HTTP request -> Outcome within the timeout, whatever the target does: status or error -> reason and detail."""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from relay.delivery.answer import BODY_TIMEOUT, MAX_BODY, Answer, Judge, Judgement
from relay.delivery.masks import masked
from relay.delivery.request_timeouts import RequestTimeouts
from relay.delivery.retry import parse_retry_after
from relay.errors import ConfigurationError
from relay.http.client import AddressDenied, Client, Endpoint, ProxyFailed, TargetResponse, Via, fast_client
from relay.http.request import Request
from relay.model import DIRECT, Egress, Outcome, Reason, Tls
from relay.tls import client_context

MAX_ANSWER = 16 * 1024  # bytes read of a response's body; a longer one costs its connection
MAX_DETAIL = 1_000  # characters of it that are recorded

PORTS = {"http": 80, "https": 443}

_CLASSES = {2: Reason.OK, 3: Reason.REDIRECT, 4: Reason.CLIENT_ERROR, 5: Reason.SERVER_ERROR}
_TLS_OBJECT = re.compile(" ssl:(default|True|<[^>]*>)")


Origin = tuple[str, str | None, int | None]
"""Scheme, host and port."""


class Sends(Protocol):
    """What makes the requests of attempts: `Sender`, or something before it."""

    async def send(
        self,
        request: Request,
        *,
        timeout: timedelta,  # noqa: ASYNC109  one deadline for all
        tls: Tls | None = None,
        egress: Egress = DIRECT,
        now: datetime | None = None,
        judge: Judge | None = None,
    ) -> Outcome:
        """See `Sender.send`."""


class Sender:
    """Sends to one target over its own connection pool, so that no target can exhaust another's."""

    def __init__(self, *, clock: Callable[[], datetime], new_client: Callable[[], Client] = fast_client) -> None:
        self._clock = clock
        self._client = new_client()
        self._known: tuple[str, Tls | None, Egress, str] | None = None  # what the endpoint was made of
        self._made: Endpoint = None
        self._timeouts = RequestTimeouts()  # each is about a URL

    async def send(
        self,
        request: Request,
        *,
        timeout: timedelta,  # noqa: ASYNC109  one deadline for all
        tls: Tls | None = None,
        egress: Egress = DIRECT,
        now: datetime | None = None,
        judge: Judge | None = None,
    ) -> Outcome:
        """Make one attempt. If a keep-alive connection turns out to be closed, a fresh one is tried within it.

        `now`: the time, if the caller has just read the clock. `judge`: reads answers as a whole, and may change what
        the status says of them.
        """
        started_at, start = now or self._clock(), perf_counter()
        status = retry_after = answer = None
        try:
            wanted = request.url, tls, egress, request.method
            endpoint = self._made if self._known == wanted else self._endpoint(*wanted)
            with self._timeouts.new(request.url, timeout.total_seconds()) as deadline:
                response = await self._client.post(endpoint, request)
            status = response.status
            retry_after = response.headers.get("retry-after")
            try:
                body = response.body
                if judge is not None and (patience := judge.patience(status)) is not None:
                    answer = await _answer(response, body, min(deadline.at, self._timeouts.loop.time() + patience))
                    body = answer.body
                start_of_body = body if isinstance(body, bytes) else await _read(body, deadline.at)
            finally:
                response.end()
            text = start_of_body[: MAX_DETAIL * 4].decode(errors="replace")
            reason = Reason.OK if 200 <= status <= 299 else reason_of_status(status)
            detail = f"{_redirect(response)} {text}".strip() if reason is Reason.REDIRECT else text
        except (ConfigurationError, aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            reason, detail = _reason_of(error), _text(error)
        outcome = Outcome(
            reason=reason,
            started_at=started_at,
            took=timedelta(seconds=perf_counter() - start),
            status=status,
            retry_after=parse_retry_after(retry_after, now=self._clock()) if retry_after else None,
            detail=masked(detail, request.secrets)[:MAX_DETAIL] if detail else "",
        )
        if judge is None or answer is None:
            return outcome
        return _judged(outcome, judge.judge(answer), request.secrets)

    def limit(self, to: Origin, timeout: timedelta) -> None:
        """Apply a new timeout, from their start, to requests in flight to this origin; those over it end now."""
        self._timeouts.change(timeout.total_seconds(), lambda url: origin(url) == to)

    async def close(self) -> None:
        """Close the connections."""
        self._timeouts.close()
        await self._client.close()

    def _endpoint(self, url: str, tls: Tls | None, egress: Egress, method: str) -> Endpoint:
        """For the same values made once; connections of an earlier TLS context or proxy are not used again."""
        self._made = self._client.endpoint(url, client_context(tls) if tls else None, method, via(egress, url))
        self._known = (url, tls, egress, method)
        return self._made


def via(egress: Egress, url: str) -> Via:
    """Say how connections to this URL are opened; of every request that is made for a target, be it for a token."""
    proxy = egress.proxy_to(url)
    return Via(
        proxy=proxy.url if proxy else None,
        authorization=proxy.authorization.reveal() if proxy and proxy.authorization else None,
        public_only=egress.deny_private,
    )


async def _read(body: aiohttp.StreamReader, deadline: float) -> bytes:
    """Read the start of the body. An error here changes nothing; a body that is too long costs its connection."""
    start = bytearray()
    try:
        async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + BODY_TIMEOUT)):
            while len(start) <= MAX_ANSWER and (chunk := await body.read(MAX_ANSWER)):
                start += chunk
    except (aiohttp.ClientError, OSError, ValueError):
        pass
    return bytes(start)


async def _answer(response: TargetResponse, body: bytes | aiohttp.StreamReader, deadline: float) -> Answer:
    """Read the answer with its whole body; what keeps it from being whole is its flaw."""
    read, flaw = bytearray(), ""
    try:
        if isinstance(body, bytes):
            read += body
        else:
            async with asyncio.timeout_at(deadline):
                while len(read) <= MAX_BODY and (chunk := await body.read(MAX_BODY)):
                    read += chunk
    except TimeoutError:
        flaw = "its body did not end in time"
    except (aiohttp.ClientError, OSError, ValueError):
        flaw = "its body broke off"
    if len(read) > MAX_BODY:
        flaw = f"its body is longer than {MAX_BODY // 1024} KiB"
    return Answer(status=response.status, headers=response.headers, body=bytes(read[:MAX_BODY]), flaw=flaw)


def _judged(outcome: Outcome, judgement: Judgement, secrets: tuple[str, ...]) -> Outcome:
    """Change what the judgement changes. Its text stands before the start of the answer."""
    if judgement.reason is None and judgement.retry_after is None:
        return outcome
    detail = f"{masked(judgement.why, secrets)}: {outcome.detail}" if judgement.why else outcome.detail
    return replace(
        outcome,
        reason=judgement.reason or outcome.reason,
        detail=detail[:MAX_DETAIL],
        retry_after=judgement.retry_after or outcome.retry_after,
    )


def _redirect(response: TargetResponse) -> str:
    """The Location of a redirect, for operators: redirects are not followed."""
    location = response.headers.get("location", "")
    return f"Location: {location.encode(errors='surrogateescape').decode(errors='replace')}" if location else ""


def origin(url: str) -> Origin:
    """`https://bot.example/in` -> `("https", "bot.example", 443)`; anything unique for a URL that cannot be parsed."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return url, None, None


def reason_of_status(status: int) -> Reason:
    """Class of a status; 408 and 425 are ordinary 4xx."""
    if status == 429:
        return Reason.TOO_MANY
    return _CLASSES.get(status // 100, Reason.OTHER_STATUS)


def _reason_of(error: Exception) -> Reason:
    match error:
        case ConfigurationError():
            return Reason.TLS
        case aiohttp.ClientConnectorError(os_error=AddressDenied()):
            return Reason.DENIED
        case ProxyFailed():
            return Reason.PROXY
        case TimeoutError():
            return Reason.TIMEOUT
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            return Reason.TLS
        case aiohttp.ClientOSError(__cause__=ssl.SSLError()):
            return Reason.TLS  # TLS 1.3 reports a missing client certificate after the handshake
        case aiohttp.ClientConnectorError(os_error=ConnectionError(errno=None)):
            return Reason.TLS  # connected, then closed in the handshake
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
    """Text of an error without the URL, which may hold a secret."""
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "not a URL that a request can be sent to"
        case aiohttp.ClientConnectorError(os_error=AddressDenied() as denied):
            return str(denied)
        case aiohttp.ClientConnectorError(os_error=ConnectionError(errno=None)):
            return "the connection was closed in the TLS handshake"
        case aiohttp.ClientConnectorError():
            return _TLS_OBJECT.sub("", str(error))
        case aiohttp.ServerDisconnectedError(message=message) if not isinstance(message, str):
            return "the connection was closed within the head of the response"  # which may repeat a secret, escaped
        case aiohttp.ClientOSError():
            return str(error.__cause__ or type(error).__name__)  # its own text may have the URL
        case TimeoutError():
            return str(error) or "no answer in time"
        case _:
            return str(error) or type(error).__name__
