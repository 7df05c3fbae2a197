"""Receivers on loopback that answer as the real ones do: Telegram, Slack, any webhook, a mail server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from ssl import SSLContext
from typing import Any
from warnings import catch_warnings

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

TOKEN = "123456:AAHcanary-token-of-a-bot"
CHAT = -1001234567890
PASSWORD = "canary-password"


@dataclass
class FakeTelegram:
    """`limits`: the seconds that the next calls are told to wait. `down`: every call is answered with this status.

    `odd`: the JSON that every call is answered 200 with.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    down: int = 0
    calls: int = 0
    hangs: bool = False
    odd: object = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        body = await request.read()
        if self.hangs:
            await asyncio.sleep(3600)
        if self.odd is not None:
            return web.json_response(self.odd)
        if self.down:
            return web.Response(status=self.down, text="<html>502 Bad Gateway</html>", content_type="text/html")
        if request.path != f"/bot{TOKEN}/sendMessage":
            return _error(404, "Not Found")
        message = await request.json() if body else {}
        if message.get("chat_id") != CHAT:
            return _error(400, "Bad Request: chat not found")
        if not message.get("text"):
            return _error(400, "Bad Request: message text is empty")
        if len(message["text"]) > 4096:
            return _error(400, "Bad Request: message is too long")
        if self.limits:
            seconds = self.limits.pop(0)
            return _error(429, f"Too Many Requests: retry after {seconds}", parameters={"retry_after": seconds})
        self.messages.append(message)
        result = {
            "message_id": len(self.messages),
            "date": 1_795_000_000,
            "chat": {"id": CHAT},
            "text": message["text"],
        }
        return web.json_response({"ok": True, "result": result})

    @property
    def lines(self) -> list[str]:
        """Of all messages."""
        return [line for each in self.messages for line in each["text"].splitlines()]


def _error(code: int, description: str, **more: object) -> web.Response:
    return web.json_response({"ok": False, "error_code": code, "description": description, **more}, status=code)


@dataclass
class FakeSlack:
    """An incoming webhook of Slack."""

    payloads: list[dict[str, Any]] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.path != "/services/T0/B0/canary-in-path":
            return web.Response(status=404, text="no_service")
        if self.limits:
            return web.Response(status=429, headers={"retry-after": str(self.limits.pop(0))}, text="rate_limited")
        payload = await request.json()
        if not payload.get("text"):
            return web.Response(status=400, text="no_text")
        self.payloads.append(payload)
        return web.Response(text="ok")


@dataclass
class FakeWebhook:
    """Remembers what it was sent; answers `status`, and repeats the request's headers as some servers do."""

    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 204
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, await request.read()))
        return web.Response(status=self.status, text="" if self.status == 204 else f"got {headers}")


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a server that answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


class Mailbox:
    """What a mail server has taken. `refuses`: an address that it does not know."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.refuses = ""
        self.busy = False

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        if self.busy:
            return "451 4.3.0 try again later"
        if address == self.refuses:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=default)
        mail["X-Rcpt"] = ", ".join(envelope.rcpt_tos)
        self.mails.append(mail)
        return "250 2.0.0 queued as 4711"


@asynccontextmanager
async def mail_server(
    mailbox: Mailbox, *, starttls: SSLContext | None = None, implicit: SSLContext | None = None, login: bool = False
) -> AsyncIterator[int]:
    """The port of a real SMTP server."""

    def authenticate(_server: object, _session: object, _envelope: object, _mechanism: str, data: object) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"relay", PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    connections: list[SMTP] = []

    def connection() -> SMTP:
        with catch_warnings(action="ignore"):  # it may ask for a password without TLS of its own
            made = smtp()
        connections.append(made)
        return made

    def smtp() -> SMTP:
        return SMTP(
            mailbox,
            hostname="mail.example",
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=authenticate,
            auth_required=login,
            auth_require_tls=login and implicit is None,
        )

    listening = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=implicit)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for each in connections:
            if isinstance(each.transport, asyncio.WriteTransport):
                each.transport.abort()
        await asyncio.sleep(0)
        await listening.wait_closed()
