"""Targets with TLS: whom we trust, what we show, and that both can change; certificates of authorities made here."""

import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from relay.delivery.send import Sender
from relay.http.client import Client, fast_client
from relay.http.request import Request
from relay.model import Outcome, Reason, Tls
from tests.delivery.conftest import read_request, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
CANARY = "canary-token"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Vouches for the targets; no system trusts it."""
    return trustme.CA()


@pytest.fixture(scope="module")
def partners() -> trustme.CA:
    """Vouches for us."""
    return trustme.CA()


async def send(sender: Sender, port: int, tls: Tls | None) -> Outcome:
    request = Request(url=f"https://localhost:{port}/in?token={CANARY}", headers={}, body=b"{}")
    return await sender.send(request, timeout=timedelta(seconds=5), tls=tls)


def of(authority: trustme.CA, *, name: str = "localhost") -> ssl.SSLContext:
    """A target's own context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def demanding(authority: trustme.CA, partners: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    """That of a target that speaks with partners alone."""
    context = of(authority)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    partners.configure_trust(context)
    return context


def trusting(authority: trustme.CA, folder: Path) -> Tls:
    authority.cert_pem.write_to_path(file := folder / "ca.pem")
    return Tls(ca=file)


def showing(partners: trustme.CA, authority: trustme.CA, folder: Path, *, name: str = "relay.example") -> Tls:
    """What a partner of that name shows."""
    ours, tls = partners.issue_cert(name), trusting(authority, folder)
    cert, key = folder / "client.pem", folder / "client.key"
    cert.write_bytes(b"".join(each.bytes() for each in ours.cert_chain_pems))
    ours.private_key_pem.write_to_path(key)
    return Tls(ca=tls.ca, cert=cert, key=key, digest=name)


class Polite:
    """A target that answers whatever it is asked; `peers` has the names that were shown, connection by connection."""

    def __init__(self) -> None:
        self.peers: list[str | None] = []

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        shown = writer.get_extra_info("peercert")
        self.peers.append(shown["subjectAltName"][0][1] if shown else None)
        while True:
            await read_request(reader)
            writer.write(OK)


async def test_an_authority_of_the_target_is_trusted_beside_the_systems(
    sender: Sender, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = trustme.CA()
    system.cert_pem.write_to_path(tmp_path / "system.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    tls = trusting(authority, tmp_path)
    for vouching in (authority, system):
        async with serving(Polite().talk, tls=of(vouching)) as port:
            assert (await send(sender, port, tls)).reason is Reason.OK


async def test_whom_neither_vouches_for_is_refused(sender: Sender, authority: trustme.CA, tmp_path: Path) -> None:
    async with serving(Polite().talk, tls=of(trustme.CA())) as port:
        for tls in (None, trusting(authority, tmp_path)):
            sent = await send(sender, port, tls)
            assert sent.reason is Reason.TLS
            assert "certificate verify failed" in sent.detail


async def test_a_certificate_for_another_name_is_refused(sender: Sender, authority: trustme.CA, tmp_path: Path) -> None:
    async with serving(Polite().talk, tls=of(authority, name="other.example")) as port:
        assert (await send(sender, port, trusting(authority, tmp_path))).reason is Reason.TLS


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_target_that_demands_a_certificate_is_shown_ours(
    version: ssl.TLSVersion, sender: Sender, authority: trustme.CA, partners: trustme.CA, tmp_path: Path
) -> None:
    target = Polite()
    async with serving(target.talk, tls=demanding(authority, partners, version)) as port:
        assert (await send(sender, port, showing(partners, authority, tmp_path))).reason is Reason.OK
    assert target.peers == ["relay.example"]


@contextmanager
def openssl(context: ssl.SSLContext) -> Iterator[int]:
    """A port whose server says why it refuses somebody; asyncio's hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pool.submit(_shake_hands, listening, context)
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _shake_hands(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # it is shut down
        while True:
            connection, _ = listening.accept()
            with connection, suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_target_that_misses_our_certificate_is_a_tls_error(
    version: ssl.TLSVersion,
    run: Callable[[Any], Any],
    new_client: Callable[[], Client],
    authority: trustme.CA,
    partners: trustme.CA,
    tmp_path: Path,
) -> None:
    async def attempts(port: int) -> list[Outcome]:
        sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
        sent = [await send(sender, port, trusting(authority, tmp_path)) for _ in range(20)]
        await sender.close()
        return sent

    with openssl(demanding(authority, partners, version)) as port:
        sent = run(attempts(port))
    reasons = {each.reason for each in sent}
    assert reasons <= {Reason.TLS, Reason.DISCONNECTED}, "TLS 1.3 says it late: we may be writing still"
    reads_on = run is uvloop.run and new_client is fast_client  # it reads what is left to be read
    if version is ssl.TLSVersion.TLSv1_2 or reads_on:
        assert Reason.TLS in reasons
    assert not [each.detail for each in sent if CANARY in each.detail], "a URL may hold a secret"


async def test_new_files_are_shown_to_the_next_connection_and_an_old_one_is_not_used_again(
    sender: Sender, authority: trustme.CA, partners: trustme.CA, tmp_path: Path
) -> None:
    target = Polite()
    async with serving(target.talk, tls=demanding(authority, partners, ssl.TLSVersion.TLSv1_3)) as port:
        for name in ("old.example", "old.example", "new.example"):
            tls = showing(partners, authority, tmp_path, name=name)
            assert (await send(sender, port, tls)).reason is Reason.OK
    assert target.peers == ["old.example", "new.example"]


async def test_files_that_have_gone_are_a_tls_error_and_are_looked_for_again(
    sender: Sender, authority: trustme.CA, tmp_path: Path
) -> None:
    tls = trusting(authority, tmp_path)
    (tmp_path / "ca.pem").rename(tmp_path / "away.pem")
    async with serving(Polite().talk, tls=of(authority)) as port:
        sent = await send(sender, port, tls)
        assert sent.reason is Reason.TLS
        assert sent.detail == f"the file {tmp_path}/ca.pem cannot be read: No such file or directory"
        (tmp_path / "away.pem").rename(tmp_path / "ca.pem")
        assert (await send(sender, port, tls)).reason is Reason.OK
