"""The public listener with TLS: what it speaks, and that another certificate disturbs no connection."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.errors import ConfigurationError
from relay.http.aiohttp_version import Variant
from relay.http.listener import listen
from relay.http.machine_limits import Limits
from relay.http.malformed import MalformedRequest
from relay.http.server_types import OnMalformed
from relay.store.open import SqliteUrl
from relay.tls import Certificate
from tests.certificates import Pair, shown
from tests.e2e.processes import until

ROUTES = """\
version: 1
sources: {crm: {token: 5b1f0c9e7a3d48268e4f}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""

LIMITS = Limits()
VARIANT = Variant.FAST


@pytest.fixture(autouse=True)
def served_by(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "VARIANT", variant)


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair.within(tmp_path)


@asynccontextmanager
async def serving(
    certificate: Certificate, limits: Limits = LIMITS, on_malformed: OnMalformed | None = None
) -> AsyncIterator[int]:
    """The port of a listener that says hello."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", answer)
    on = socket.create_server(("127.0.0.1", 0))
    listener = await listen(
        app,
        on,
        limits=limits,
        drain=0.0,
        grace=0.0,
        emit=lambda _signal: None,
        tls=certificate.context,
        on_malformed=on_malformed,
        variant=VARIANT,
    )
    try:
        yield listener.address[1]
    finally:
        await listener.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\n\r\n", b"POST /hooks/crm/x HTTP/1.1\r\n\r\n"])
def test_plain_http_on_the_tls_port_is_called_by_its_name(request_: bytes, run: Run, pair: Pair) -> None:
    async def scene() -> None:
        said: list[tuple[MalformedRequest, str]] = []
        async with serving(Certificate(*pair.files), on_malformed=lambda *heard: said.append(heard)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_)
            await reader.read()
            writer.close()
            await until(lambda: bool(said))
            [(seen, remote)] = said
            assert (seen.other_protocol, remote) == (True, "127.0.0.1")
            assert "plain HTTP" in seen.problem

    run(scene())


def test_bytes_that_are_neither_tls_nor_http_are_reported_as_a_stranger(run: Run, pair: Pair) -> None:
    async def scene() -> None:
        said: list[MalformedRequest] = []
        async with serving(Certificate(*pair.files), on_malformed=lambda seen, _remote: said.append(seen)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"SSH-2.0-scanner\r\n")
            await reader.read()
            writer.close()
            await until(lambda: bool(said))
            assert [(seen.other_protocol, seen.path) for seen in said] == [(False, "")]

    run(scene())


def test_a_connection_closed_before_its_handshake_is_not_reported(run: Run, pair: Pair) -> None:
    """A balancer's TCP check."""

    async def scene() -> None:
        said: list[tuple[MalformedRequest, str]] = []
        async with serving(Certificate(*pair.files), on_malformed=lambda *heard: said.append(heard)) as port:
            for _ in range(3):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=pair.client(), server_hostname="localhost"
            )
            writer.write(REQUEST)
            await reader.readuntil(b"hello")
            writer.close()
            assert said == []

    run(scene())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["localhost", None], ids=["by name", "without a name"])
def test_a_new_certificate_is_for_new_connections_and_an_open_one_goes_on(
    name: str | None, version: ssl.TLSVersion, run: Run, pair: Pair
) -> None:
    certificate = Certificate(*pair.files)
    client = pair.client()
    client.check_hostname = False
    client.minimum_version = client.maximum_version = version

    async def scene() -> None:
        async with serving(certificate) as port:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=pair.client(), server_hostname="localhost"
            )
            before = await shown(port, client, name=name)
            pair.issue()
            assert await shown(port, client, name=name) == before, "the files alone change nothing"
            certificate.use(certificate.read())
            after = await shown(port, client, name=name)
            assert after != before
            writer.write(REQUEST)
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(scene())


def test_half_of_a_new_pair_is_reported_and_the_old_one_stays_in_use(run: Run, pair: Pair) -> None:
    certificate = Certificate(*pair.files)
    key = pair.key.read_bytes()

    async def scene() -> None:
        async with serving(certificate) as port:
            before = await shown(port, pair.client())
            pair.issue()
            pair.key.write_bytes(key)
            with pytest.raises(
                ConfigurationError, match=f"{pair.key} holds another key than that of {pair.certificate}"
            ):
                certificate.use(certificate.read())
            assert await shown(port, pair.client()) == before

    run(scene())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_before_1_2_is_refused(run: Run, pair: Pair) -> None:
    old = pair.client()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")  # or this end would refuse it as well
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    async def scene() -> None:
        async with serving(Certificate(*pair.files)) as port:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown(port, old)

    run(scene())


def test_a_connection_without_a_handshake_is_closed(run: Run, pair: Pair) -> None:
    async def scene() -> None:
        async with serving(Certificate(*pair.files), Limits(handshake=0.1)) as port, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()

    run(scene())


# ---- reloads


@pytest.fixture
async def relay(pair: Pair, tmp_path: Path) -> AsyncIterator[Relay]:
    routes = tmp_path / "routes.yaml"
    routes.write_text(ROUTES)
    settings = Settings(
        config=routes,
        store=SqliteUrl(tmp_path / "relay.db"),
        listen=("127.0.0.1", 0),
        admin=("127.0.0.1", 0),
        tls=pair.files,
    )
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        yield relay


async def test_a_reload_takes_up_the_certificate(relay: Relay, pair: Pair) -> None:
    before = await shown(relay.listening[1], pair.client())
    pair.issue()
    assert not (await relay.reloader.reload()).problems
    assert await shown(relay.listening[1], pair.client()) != before


async def test_a_changed_certificate_is_taken_up_by_itself(relay: Relay, pair: Pair) -> None:
    before = await shown(relay.listening[1], pair.client())
    pair.issue()

    async def changed() -> bool:
        return await shown(relay.listening[1], pair.client()) != before

    await until(changed)


async def test_a_pair_that_does_not_fit_keeps_good_routes_from_nothing(relay: Relay, pair: Pair) -> None:
    before = await shown(relay.listening[1], pair.client())
    relay.settings.config.write_text(ROUTES.replace("bot", "robot"))
    pair.key.write_text("hello")
    status, answer = await reloaded(relay)
    problem = f"the file {pair.key} holds no private key in PEM, or one with a password"
    assert (status, answer) == (422, {"reloaded": False, "problems": [problem], "taken_up": ["routes"]})
    assert list(relay.reloader.config.targets) == ["robot"]
    assert await shown(relay.listening[1], pair.client()) == before


async def test_bad_routes_keep_a_good_pair_from_nothing(relay: Relay, pair: Pair) -> None:
    before, config = await shown(relay.listening[1], pair.client()), relay.reloader.config
    relay.settings.config.write_text("version: 2\n")
    pair.issue()
    status, answer = await reloaded(relay)
    assert (status, answer["taken_up"]) == (422, ["certificate"])
    assert relay.reloader.config is config
    assert await shown(relay.listening[1], pair.client()) != before


async def reloaded(relay: Relay) -> tuple[int, dict[str, Any]]:
    """What POST /-/reload answers."""
    async with aiohttp.ClientSession() as session, session.post(f"{url(relay.admin_listening)}/-/reload") as answer:
        return answer.status, await answer.json()


# ---- files


def encrypted(pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )


SPOILT: dict[str, tuple[Callable[[Pair], object], str]] = {
    "no certificate file": (
        lambda pair: pair.certificate.unlink(),
        "tls.pem cannot be read: No such file or directory",
    ),
    "no key file": (lambda pair: pair.key.unlink(), "tls.key cannot be read: No such file or directory"),
    "not a certificate": (lambda pair: pair.certificate.write_text("hello"), "tls.pem holds no certificate in PEM"),
    "not a key": (lambda pair: pair.key.write_text("hello"), "tls.key holds no private key in PEM"),
    "half a key": (
        lambda pair: pair.key.write_bytes(pair.key.read_bytes()[:90]),
        "tls.key holds no private key in PEM",
    ),
    "exchanged": (lambda pair: pair.certificate.write_bytes(pair.key.read_bytes()), "tls.pem holds no certificate"),
    "with a password": (encrypted, "tls.key holds no private key in PEM, or one with a password"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_unusable_files_are_reported_by_name(case: str, pair: Pair) -> None:
    spoil, said = SPOILT[case]
    spoil(pair)
    with pytest.raises(ConfigurationError, match=said):
        Certificate(*pair.files)
