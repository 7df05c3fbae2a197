"""An address that is slightly wrong leaves a trace: it is accepted, or said to be wrong and how it should look."""

import asyncio
import re
import struct
import time
from urllib.parse import unquote

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st

from relay.http.machine_limits import MAX_HEAD
from relay.http.malformed import diagnose
from relay.ingest.misaddressed import diagnose_address
from relay.model import Secret
from relay.routes.config import parse
from relay.signals import Rejection, WebhookRejected, WebhookStored
from tests.e2e.processes import until
from tests.scene import LEAD, OTHER_TOKEN, ROUTES, TOKEN, Scene, form

NOWHERE = "http://127.0.0.1:9/"
CONFIG = parse(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=NOWHERE, dwh=NOWHERE), file="routes.yaml", env={})

BODY = form(LEAD)
REST = b" HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n" % len(BODY)
CRM = "/hooks/crm/<token>"


async def asked(scene: Scene, line: bytes, more: bytes = b"\r\n" + BODY, rest: bytes = REST) -> bytes:
    """The head of the answer to a request line that ends after its address."""
    async with scene.connected() as (reader, writer):
        writer.write(line.replace(b"{T}", TOKEN.encode()) + rest + more)
        return await reader.readuntil(b"\r\n\r\n")


def refused(scene: Scene) -> list[WebhookRejected]:
    return [each for each in scene.facts.signals if isinstance(each, WebhookRejected)]


# ---- accepted


ACCEPTED = ["/hooks/crm/{T}/", "//hooks/crm/{T}", "/hooks//crm/{T}", "/hooks/crm//{T}/", "//hooks//crm//{T}//"]


@pytest.mark.parametrize("path", [*ACCEPTED, "/hooks/crm/{T}/?try=1", "http://hooks.example.com//hooks/crm/{T}/"])
async def test_a_slash_too_many_costs_no_webhook(path: str, scene: Scene) -> None:
    assert (await asked(scene, b"POST " + path.encode())).startswith(b"HTTP/1.1 200 ")
    await until(lambda: scene.targets.accepted("bot") == ["m1"])


async def test_expect_100_continue_is_answered_there_too(scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(f"POST /hooks/crm/{TOKEN}/".encode() + REST + b"Expect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(BODY)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ACCEPTED)
async def test_a_wrong_token_stays_unauthorized_however_many_slashes(path: str, scene: Scene) -> None:
    assert (await asked(scene, b"POST " + path.replace("{T}", "wrong").encode())).startswith(b"HTTP/1.1 404 ")
    assert scene.facts.refusals() == [("-", "unauthorized")]


async def test_a_long_request_line_is_read_up_to_what_proxies_let_through(scene: Scene) -> None:
    assert (await asked(scene, b"POST /hooks/crm/{T}?a=" + b"x" * 6_000)).startswith(b"HTTP/1.1 200 ")


# ---- misaddressed


WRONG = [
    ("/crm/{T}", "/crm/***", CRM, "/hooks is missing"),
    ("/{T}", "/***", CRM, "/hooks is missing"),
    ("/webhooks/crm/{T}", "/***/crm/***", CRM, "/hooks is missing"),
    ("/x/hooks/crm/{T}", "/***/hooks/crm/***", CRM, "before /hooks"),
    ("/hooks/crm/{T}/24h-1st", "/hooks/crm/***/***", CRM, "put it into the query"),
    ("/hooks/shop/wrong/more", "/hooks/shop/***/***", "/hooks/shop/<token>", "put it into the query"),
    ("/Hooks/crm/{T}", "/Hooks/crm/***", CRM, "small letters"),
    ("/hooks%2Fcrm%2F{T}", "/hooks%2Fcrm%2F***", CRM, "escaped"),
    ("/hooks%2fcrm/{T}", "/hooks%2fcrm/***", CRM, "escaped"),
    ("/hooks/crm", "/hooks/crm", CRM, "the token is missing"),
    ("/hooks/crm/", "/hooks/crm/", CRM, "the token is missing"),
    ("/hooks/{T}", "/hooks/***", CRM, "the source is missing"),
    ("/hooks", "/hooks", "/hooks/<source>/<token>", "source and token are missing"),
    ("/a/hooks/b", "/***/hooks/***", "/hooks/<source>/<token>", "before /hooks"),
    ("/crm/login.php", "/crm/***", CRM, "/hooks is missing"),
]


@pytest.mark.parametrize(("path", "address", "right", "wrong"), WRONG, ids=[path for path, *_ in WRONG])
async def test_a_misaddressed_request_is_announced_with_the_right_address(
    path: str, address: str, right: str, wrong: str, scene: Scene
) -> None:
    assert (await asked(scene, b"POST " + path.encode())).startswith(b"HTTP/1.1 404 ")
    [said] = refused(scene)
    assert (said.source, said.reason, said.remote) == ("-", "misaddressed", "127.0.0.1")
    assert said.address == f"POST {address}"
    assert said.detail.endswith(f" (right: POST {right})")
    assert wrong in said.detail
    assert TOKEN not in repr(said)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/hooks/crm/{T}", "/hooks/crm/wrong", "/hooks/crm/{T}/", "//hooks/crm/{T}"])
async def test_a_get_after_a_redirect_is_announced(method: str, path: str, scene: Scene) -> None:
    head = await asked(scene, f"{method} {path}".encode(), b"\r\n", b" HTTP/1.1\r\nHost: relay\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in head
    [said] = refused(scene)
    assert said.reason == "misaddressed"
    assert said.address == f"{method} {path.replace('{T}', '***').replace('wrong', '***')}"
    assert "redirect" in said.detail


STRANGERS = ["/", "/.env", "/wp-login.php", "/favicon.ico", "/a//b/", "/%00", "/%FF%2F", "/livez", "*", ""]


@pytest.mark.parametrize("path", STRANGERS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_scanners_and_health_checks_are_counted_and_no_more(method: str, path: str, scene: Scene) -> None:
    await asked(scene, f"{method} {path}".encode(), b"\r\n", b" HTTP/1.1\r\nHost: relay\r\n")
    assert [(each.reason, each.address) for each in refused(scene)] == [("stranger", "")]


async def test_a_connection_that_brings_nothing_is_not_even_counted(scene: Scene) -> None:
    async with scene.connected():
        pass
    await scene.post(BODY)
    assert not refused(scene)


async def test_tokens_are_looked_up_in_few_segments_and_by_digest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    begin = Secret.__init__

    def counted(secret: Secret, text: str) -> None:
        made.append(text)
        begin(secret, text)

    monkeypatch.setattr(Secret, "__init__", counted)
    assert (await asked(scene, b"POST " + b"/a" * 3_000)).startswith(b"HTTP/1.1 404 ")
    assert 0 < len(made) < 100


@pytest.mark.parametrize("token", [TOKEN, OTHER_TOKEN])
async def test_the_answer_does_not_reveal_whether_a_token_is_right(token: str, scene: Scene) -> None:
    said = [
        (await scene.session.post(f"{scene.hook(token=each)}/more", data=BODY)).headers["content-length"]
        for each in (token, "wrong")
    ]
    assert said[0] == said[1]


# ---- what cannot even be read


UNREAD = [
    ("a raw UTF-8 query", "POST /hooks/crm/{T}?try=Иван".encode(), 400, "not ASCII"),
    ("a blank in the query", b"POST /hooks/crm/{T}?try=a b", 400, "blank"),
    ("a request line of 9 KB", b"POST /hooks/crm/{T}?a=" + b"x" * 9_000, 414, "8190"),
    ("a raw UTF-8 query, cut off", "POST /crm/{T}?try=Иван".encode(), 400, "not ASCII"),
    ("a URL that is none", b"POST http://[::/hooks/crm/{T}", 400, "its address is no URL"),
    ("a method that there is not", b"POSTX /hooks/crm/{T}", 400, "cannot be read"),
]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("line", "status", "wrong"), [each[1:] for each in UNREAD], ids=[each[0] for each in UNREAD])
async def test_a_malformed_request_line_is_announced(line: bytes, status: int, wrong: str, scene: Scene) -> None:
    assert (await asked(scene, line)).startswith(f"HTTP/1.1 {status} ".encode())
    [said] = refused(scene)
    assert (said.reason, said.remote) == ("misaddressed", "127.0.0.1")
    assert said.address.endswith("/crm/***")
    assert wrong in said.detail
    assert TOKEN not in repr(said)


HEADS = [
    ("no header", b"broken header\r\n\r\n", 400),
    ("a header of 9 KB", b"X-A: " + b"y" * 9_000 + b"\r\n\r\n", 431),
    ("65 headers", b"".join(b"X-%d: 1\r\n" % n for n in range(65)) + b"\r\n", 400),
    ("17 KB of headers", b"".join(b"X-%d: %b\r\n" % (n, b"y" * 4_000) for n in range(5)), 431),
    ("two framings", b"Transfer-Encoding: chunked\r\n\r\n", 400),
]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("cut", [False, True], ids=["at once", "in pieces"])
@pytest.mark.parametrize(("head", "status"), [each[1:] for each in HEADS], ids=[each[0] for each in HEADS])
async def test_malformed_headers_are_announced(head: bytes, status: int, cut: bool, scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(f"POST /hooks/crm/{TOKEN}".encode() + REST)
        if cut:
            await asyncio.sleep(0.05)
        writer.write(head)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(f"HTTP/1.1 {status} ".encode())
    [said] = refused(scene)
    assert (said.reason, said.address) == ("misaddressed", "POST /hooks/crm/***")


@pytest.mark.usefixtures("server")
async def test_a_body_longer_than_its_content_length_is_announced(scene: Scene) -> None:
    """PHP's `mb_strlen` of Cyrillic counts letters, not bytes."""
    head = await asked(scene, b"POST /hooks/crm/{T}", b"\r\n" + BODY + b"Content")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert "Content-Length" in refused(scene)[-1].detail


CLIENT_HELLO = b"\x16\x03\x01" + struct.pack(">H", 200) + b"\x01\x00\x00\xc4\x03\x03" + bytes(194)
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)
OTHERS = [
    ("TLS", CLIENT_HELLO, "TLS"),
    ("PROXY 1", b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "PROXY protocol"),
    ("PROXY 2", PROXY_V2, "PROXY protocol"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00", "HTTP/2"),
]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("sent", "wrong"), [each[1:] for each in OTHERS], ids=[each[0] for each in OTHERS])
async def test_another_protocol_is_called_by_its_name(sent: bytes, wrong: str, scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    [said] = refused(scene)
    assert (said.reason, said.address) == ("misaddressed", "")
    assert wrong in said.detail


@pytest.mark.parametrize("piece", [b"a", b" ", b"/", b"a://", b"\r\n", b"%2F", b"a b'"])
@pytest.mark.parametrize("error", [None, BadHttpMessage("junk")], ids=["too long", "junk"])
def test_a_malformed_head_is_diagnosed_in_linear_time(piece: bytes, error: Exception | None) -> None:
    def seconds(pieces: int) -> float:
        before = time.process_time()
        diagnose(b"POST " + piece * pieces, error)
        return time.process_time() - before

    def best(size: int) -> float:
        return min(seconds(size // len(piece)) for _ in range(3))

    assert best(2 * MAX_HEAD) < 16 * best(MAX_HEAD // 8) * 4 + 0.05


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("sent", [b"hello there\r\n\r\n", b"\x00\x01\x02\x03", b"GET /.env?\xff HTTP/1.1\r\n\r\n"])
async def test_malformed_bytes_without_a_hook_path_are_a_stranger(sent: bytes, scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    assert scene.facts.refusals() == [("-", "stranger")]


async def test_after_all_that_an_ordinary_webhook_is_stored(scene: Scene) -> None:
    for line in (b"POST /crm/{T}", b"GET /hooks/crm/{T}", b"POST /"):
        await asked(scene, line)
    assert (await scene.post(BODY)).status == 200
    assert len([each for each in scene.facts.signals if isinstance(each, WebhookStored)]) == 1


# ---- what is never shown

JUNK = ["x", "secret-of-a-neighbour", "..", "%2e%2e", "%00", "a b", "Ж", "hooks%252Fcrm", TOKEN[:-1], TOKEN + "0"]
SEGMENTS = st.sampled_from(["hooks", "HOOKS", "crm", "shop", TOKEN, f"%{ord(TOKEN[0]):x}{TOKEN[1:]}", "", *JUNK])


@given(
    st.lists(SEGMENTS, max_size=12),
    st.sampled_from(["/", "//", "%2F", "%2f"]),
    st.sampled_from(["POST", "Ж", "X" * 99]),
)
def test_a_masked_path_shows_hooks_and_sources_only(segments: list[str], slash: str, method: str) -> None:
    told = diagnose_address(method, slash.join(["", *segments]), CONFIG)
    assert all(
        each in {"hooks", "crm", "shop", "***", ""}
        for each in re.split("/|%2f", told.address.lower().partition(" ")[2])
    )
    assert TOKEN not in told.detail
    assert len(told.address) < 2_000
    meant = {"hooks", "crm", "shop", TOKEN} & {unquote(each).lower() for each in segments}
    assert (told.reason is Rejection.MISADDRESSED) == bool(meant)
