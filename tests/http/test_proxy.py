"""Requests through a proxy, with both clients: what the proxy and the target get, and what is said if there is no way.

Every name is looked up by the proxy of these tests, for which it is this machine.
"""

import asyncio
import base64
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
import uvloop

from relay.delivery.retry import decide
from relay.delivery.send import Sender
from relay.http.client import Client
from relay.http.request import Request
from relay.http.resolver import MAX_AGE
from relay.model import Egress, Exemption, Outcome, Proxy, Reason, RetryAt, Secret, Tls
from tests.clients import connections_age_by
from tests.delivery.conftest import NOON, delivery, read_request, serving, target
from tests.http.proxies import ESTABLISHED, LocalProxy

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NAME = "bot.relay.test"
PASSWORD = "canary-pass:word"
CREDENTIALS = f"relay:{PASSWORD}"
BASIC = base64.b64encode(CREDENTIALS.encode()).decode()

NewClient = Callable[[], Client]
Run = Callable[[Coroutine[Any, Any, None]], None]


@dataclass
class Origin:
    """A target that answers whatever it is asked; `requests` are the heads, `connections` how many came."""

    requests: list[str] = field(default_factory=list)
    connections: int = 0

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append((await read_request(reader))[0].decode())
            writer.write(OK)


@pytest.fixture
def no_lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that the relay has looked up: none but the proxy's, which is an address."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def look_up_and_note(host: Any, *more: Any, **named: Any) -> Any:
        asked.append(str(host))
        return look_up(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_and_note)
    yield asked


def tls_of(folder: Path, *names: str) -> tuple[ssl.SSLContext, Tls]:
    """The context of a server with these names, and what trusts it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return context, Tls(ca=folder / "ca.pem")


@dataclass(kw_only=True)
class Scene:
    """A target behind a proxy, and the sender."""

    sender: Sender
    proxy: LocalProxy
    origin: Origin
    url: str
    egress: Egress
    tls: Tls | None

    async def send(
        self, *, seconds: float = 20.0, egress: Egress | None = None, secrets: tuple[str, ...] = ()
    ) -> Outcome:
        request = Request(url=self.url, headers={"x-own": "1"}, body=b"{}", secrets=secrets)
        return await self.sender.send(
            request, timeout=timedelta(seconds=seconds), tls=self.tls, egress=egress or self.egress
        )


@asynccontextmanager
async def behind(
    sender: Sender,
    folder: Path,
    *,
    scheme: str = "https",
    of_proxy: str = "http",
    name: str = NAME,
    credentials: str | None = None,
    proxy: LocalProxy | None = None,
) -> AsyncIterator[Scene]:
    proxy, origin = proxy or LocalProxy(), Origin()
    context, tls = tls_of(folder, NAME, "localhost")
    server = context if scheme == "https" else None
    async with (
        serving(origin.talk, tls=server) as port,
        serving(proxy.talk, tls=context if of_proxy == "https" else None) as proxy_port,
    ):
        yield Scene(
            sender=sender,
            proxy=proxy,
            origin=origin,
            url=f"{scheme}://{name}:{port}/in?token=a%2Fb",
            egress=Egress(
                proxy=Proxy(
                    url=f"{of_proxy}://{'localhost' if of_proxy == 'https' else '127.0.0.1'}:{proxy_port}",
                    credentials=Secret(credentials) if credentials else None,
                )
            ),
            tls=tls if "https" in (scheme, of_proxy) else None,
        )


# ---- what the proxy and the target get


async def test_a_tunnel_is_opened_once_and_used_again(sender: Sender, tmp_path: Path, no_lookups: list[str]) -> None:
    async with behind(sender, tmp_path) as scene:
        sent = [await scene.send() for _ in range(5)]
        assert {(each.reason, each.detail) for each in sent} == {(Reason.OK, "ok")}
        to = scene.url.split("/")[2]
        assert scene.proxy.lines == [f"CONNECT {to} HTTP/1.1"]
        assert f"host: {to}" in scene.proxy.heads[0].lower().split("\r\n")
        assert (len(scene.origin.requests), scene.origin.connections) == (5, 1)
        assert scene.origin.requests[0].startswith("POST /in?token=a%2Fb HTTP/1.1\r\n")
        assert f"host: {to}" in scene.origin.requests[0].lower().split("\r\n")
    assert NAME not in no_lookups, "the proxy looks it up"


async def test_a_target_without_tls_is_reached_too(sender: Sender, tmp_path: Path, client: str) -> None:
    """By CONNECT; aiohttp's own client asks in absolute form."""
    async with behind(sender, tmp_path, scheme="http", credentials=CREDENTIALS) as scene:
        sent = [await scene.send() for _ in range(3)]
        assert {each.reason for each in sent} == {Reason.OK}
        to = scene.url.split("/")[2]
        assert scene.proxy.lines == ([f"CONNECT {to} HTTP/1.1"] if client == "fast" else [f"POST {scene.url} HTTP/1.1"])
        assert {each.partition("\r\n")[0] for each in scene.origin.requests} == {"POST /in?token=a%2Fb HTTP/1.1"}
        assert scene.origin.connections == 1
        assert f"proxy-authorization: basic {BASIC}".lower() in scene.proxy.heads[0].lower()


async def test_user_and_password_are_for_the_proxy_alone(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, credentials=CREDENTIALS) as scene:
        assert (await scene.send()).reason is Reason.OK
        assert f"Proxy-Authorization: Basic {BASIC}" in scene.proxy.heads[0].split("\r\n")
        assert "proxy-" not in scene.origin.requests[0].lower()
        assert "x-own" not in scene.proxy.heads[0].lower(), "and the target's headers for the target"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("of_proxy", ["http", "https"])
def test_every_pair_of_schemes_works_on_either_loop(
    run: Run, new_client: NewClient, scheme: str, of_proxy: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
        async with behind(sender, tmp_path, scheme=scheme, of_proxy=of_proxy) as scene:
            sent = [await scene.send() for _ in range(3)]
            assert {(each.reason, each.detail) for each in sent} == {(Reason.OK, "ok")}
            assert len(scene.proxy.heads) == 1
            await sender.close()

    run(scenario())


async def test_the_certificate_must_have_the_targets_name(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, name="other.relay.test") as scene:
        sent = await scene.send()
        assert sent.reason is Reason.TLS
        assert "certificate" in sent.detail
        assert scene.origin.requests == []


async def test_a_name_with_a_dot_at_its_end_has_the_same_certificate(
    new_client: NewClient, tmp_path: Path, client: str
) -> None:
    if client == "plain":
        pytest.skip("aiohttp's own client asks for a certificate with the dot")
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    async with behind(sender, tmp_path, name=f"{NAME}.") as scene:
        assert (await scene.send()).reason is Reason.OK
        await sender.close()


async def test_an_address_of_ipv6_is_in_brackets(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, name="[::1]") as scene:
        await scene.send()
        assert scene.proxy.lines == [f"CONNECT {scene.url.split('/')[2]} HTTP/1.1"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["1.0", "empty", "chunked", "length", "100"],
)
async def test_whatever_a_2xx_says_of_a_body_the_tunnel_follows_its_head(
    sender: Sender, tmp_path: Path, answer: bytes
) -> None:
    """RFC 9110 §9.3.6."""
    async with behind(sender, tmp_path, proxy=LocalProxy(answer=answer)) as scene:
        sent = [await scene.send() for _ in range(3)]
        assert {(each.reason, each.detail) for each in sent} == {(Reason.OK, "ok")}
        assert len(scene.proxy.heads) == 1


# ---- a proxy that opens no tunnel


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n", "the proxy asks for a user and a password (407)"),
        (b"HTTP/1.1 403 canary\r\n\r\n", "the proxy opened no tunnel to {to}: it answered 403 Forbidden"),
        (
            b"HTTP/1.1 502 x\r\ncontent-length: 3\r\n\r\nwhy",
            "the proxy opened no tunnel to {to}: it answered 502 Bad Gateway",
        ),
        (b"HTTP/1.0 599 x\r\n\r\n", "the proxy opened no tunnel to {to}: it answered 599"),
        (b"HTTP/1.1 302 x\r\nlocation: /\r\n\r\n", "the proxy opened no tunnel to {to}: it answered 302 Found"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the proxy answered CONNECT with something that is not HTTP"),
        (b"\x16\x03\x01\x00\x00\r\n\r\n", "the proxy answered CONNECT with something that is not HTTP"),
        (b"", "the proxy closed the connection before it had answered CONNECT"),
        (b"HTTP/1.1 200 OK\r\nx: y", "the proxy closed the connection before it had answered CONNECT"),
    ],
    ids=["407", "403", "502", "599", "302", "ssh", "tls", "closes", "cut"],
)
async def test_a_refusal_is_the_proxys(sender: Sender, tmp_path: Path, answer: bytes, detail: str) -> None:
    async with behind(sender, tmp_path, proxy=LocalProxy(answer=answer)) as scene:
        sent = await scene.send()
        assert (sent.reason, sent.detail, sent.status) == (
            Reason.PROXY,
            detail.format(to=scene.url.split("/")[2]),
            None,
        )
        assert scene.origin.connections == 0
        assert isinstance(decide(delivery(), sent, target(), now=NOON, roll=0.0), RetryAt)


async def test_a_user_that_the_proxy_refuses_is_said_and_not_shown(sender: Sender, tmp_path: Path) -> None:
    said = f"HTTP/1.1 407 {BASIC} {PASSWORD}\r\nx: {CREDENTIALS}\r\ncontent-length: 0\r\n\r\n".encode()
    for scheme in ("http", "https"):
        proxy = LocalProxy(answer=said)
        async with behind(sender, tmp_path, scheme=scheme, credentials=CREDENTIALS, proxy=proxy) as scene:
            sent = await scene.send()
            if proxy.lines[0].startswith("CONNECT"):
                assert sent.reason is Reason.PROXY
                assert sent.detail == "the proxy refuses the user or the password in its URL (407)"


async def test_a_refusal_without_a_tunnel_is_told_from_an_answer_too(sender: Sender, tmp_path: Path) -> None:
    async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")

    async with serving(refuse) as port:
        egress = Egress(proxy=Proxy(url=f"http://127.0.0.1:{port}"))
        request = Request(url=f"http://{NAME}/in", headers={}, body=b"{}")
        sent = await sender.send(request, timeout=timedelta(seconds=20), egress=egress)
    assert (sent.reason, sent.detail) == (Reason.PROXY, "the proxy asks for a user and a password (407)")


async def test_a_407_of_a_target_with_tls_is_the_targets(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path) as scene:

        async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK.replace(b"200 OK", b"407 No"))

        context, scene.tls = tls_of(tmp_path, NAME, "second")
        async with serving(refuse, tls=context) as port:
            scene.url = f"https://{NAME}:{port}/"
            sent = await scene.send()
    assert (sent.reason, sent.status) == (Reason.CLIENT_ERROR, 407)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("head", [ESTABLISHED, ESTABLISHED.replace(b"\r\n\r\n", b"\r\ncontent-length: 9\r\n\r\n")])
async def test_a_target_that_speaks_first_is_not_taken_for_one_that_answers(
    new_client: NewClient, client: str, head: bytes, scheme: str, tmp_path: Path
) -> None:
    if client == "plain":
        pytest.skip("aiohttp's own client drops what comes with the proxy's answer")

    async def tunnel(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + OK)
        await reader.read()

    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    async with serving(tunnel) as port:
        request = Request(url=f"{scheme}://{NAME}/in", headers={}, body=b"{}")
        egress = Egress(proxy=Proxy(url=f"http://127.0.0.1:{port}"))
        sent = await sender.send(request, timeout=timedelta(seconds=20), egress=egress)
    await sender.close()
    assert (sent.reason, sent.detail) == (Reason.PROTOCOL, "the target spoke before it was asked")


async def test_a_reset_is_the_proxys(sender: Sender) -> None:
    async def reset(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with serving(reset) as port:
        sent = await through(sender, f"http://127.0.0.1:{port}")
    assert (sent.reason, sent.detail) == (
        Reason.PROXY,
        "the proxy closed the connection before it had answered CONNECT",
    )


async def test_a_proxy_that_is_not_there_is_named_without_its_user(sender: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    sent = await through(sender, f"http://127.0.0.1:{port}")
    assert sent.reason is Reason.PROXY
    assert sent.detail.startswith(f"the proxy 127.0.0.1:{port} cannot be reached: [Errno")


async def test_a_name_of_a_proxy_that_nobody_knows_is_the_proxys(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    sent = await through(sender, "http://proxy.relay.test:3128")
    assert sent.reason is Reason.PROXY
    assert sent.detail.startswith("the proxy proxy.relay.test:3128 cannot be reached: ")


async def test_a_certificate_of_a_proxy_that_nobody_vouches_for_is_the_proxys(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, of_proxy="https") as scene:
        scene.tls = None
        sent = await scene.send()
        assert sent.reason is Reason.PROXY
        assert "certificate verify failed" in sent.detail
        assert scene.proxy.heads == []


async def through(sender: Sender, url: str, *, seconds: float = 20.0) -> Outcome:
    egress = Egress(proxy=Proxy(url=url, credentials=Secret(CREDENTIALS)))
    request = Request(url=f"https://{NAME}/in", headers={}, body=b"{}")
    sent = await sender.send(request, timeout=timedelta(seconds=seconds), egress=egress)
    assert PASSWORD not in sent.detail
    assert BASIC not in sent.detail
    return sent


# ---- a proxy that says nothing


async def test_a_proxy_that_hangs_is_a_timeout_in_words(
    new_client: NewClient, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "fast_client.CONNECT_TIMEOUT" if client == "fast" else "plain_proxy.TUNNEL_TIMEOUT"
    monkeypatch.setattr(f"relay.http.{limit}", 0.2)
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    async with behind(sender, tmp_path, proxy=LocalProxy(answer=b"", leaves=False)) as scene:
        sent = await scene.send()
        assert sent.reason is Reason.TIMEOUT
        assert sent.detail in (
            "the proxy did not answer CONNECT within 0.2 s",
            "no connection through the proxy within 0.2 s",
        )
        await sender.close()


async def test_the_deadline_of_the_attempt_holds_for_the_tunnel_too_and_leaves_no_connection(
    sender: Sender, tmp_path: Path
) -> None:
    async with behind(sender, tmp_path, proxy=LocalProxy(answer=b"HTTP/1.1 200 O", leaves=False)) as scene:
        sent = await scene.send(seconds=0.3)
        assert sent.reason is Reason.TIMEOUT
        assert sent.took < timedelta(seconds=20)
        await until_closed(scene.egress)


async def test_interim_answers_without_end_are_a_failure_of_the_proxy(
    sender: Sender, tmp_path: Path, client: str
) -> None:
    async with behind(sender, tmp_path, proxy=LocalProxy(answer=b"HTTP/1.1 103 H\r\n\r\n" * 2_000)) as scene:
        sent = await scene.send()
        assert sent.reason is Reason.PROXY
        assert scene.origin.connections == 0


async def until_closed(egress: Egress) -> None:
    """No connection of ours is open to the proxy."""
    assert egress.proxy
    port = int(egress.proxy.url.rpartition(":")[2])
    async with asyncio.timeout(30):
        while any(each.raddr and each.raddr.port == port for each in psutil.Process().net_connections("tcp")):  # noqa: ASYNC110  the system tells nobody
            await asyncio.sleep(0.01)


# ---- connections that are kept


async def test_a_tunnel_that_was_cut_while_idle_costs_no_attempt(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path) as scene:
        for _ in range(5):
            assert (await scene.send()).reason is Reason.OK
            scene.proxy.cut()
        assert len(scene.origin.requests) == 5


async def test_another_user_or_no_proxy_has_another_connection(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, name="localhost", credentials=CREDENTIALS) as scene:
        assert scene.egress.proxy
        other = Egress(proxy=Proxy(url=scene.egress.proxy.url, credentials=Secret("other:user")))
        for egress in (scene.egress, scene.egress, other, Egress(), scene.egress):
            assert (await scene.send(egress=egress)).reason is Reason.OK
        assert len(scene.proxy.heads) == 2
        assert scene.origin.connections == 3


async def test_a_tunnel_is_used_no_longer_than_any_connection(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1000.0
    connections_age_by(lambda: seconds, monkeypatch)
    async with behind(sender, tmp_path) as scene:
        for _ in range(int(MAX_AGE) + 2):
            assert (await scene.send()).reason is Reason.OK
            seconds += 1
        assert len(scene.proxy.heads) == 2


async def test_a_host_that_is_exempt_is_reached_without_the_proxy(sender: Sender, tmp_path: Path) -> None:
    async with behind(sender, tmp_path, name="localhost") as scene:
        exempt = Egress(proxy=scene.egress.proxy, no_proxy=(Exemption(name="localhost"),))
        assert (await scene.send(egress=exempt)).reason is Reason.OK
        assert scene.proxy.heads == []
