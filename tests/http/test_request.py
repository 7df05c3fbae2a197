"""The URL goes out as it is written: what is ASCII byte for byte, and `relay explain` shows what goes out."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from relay.amocrm import form, sample_bodies
from relay.cli import relay
from relay.delivery.request import render
from relay.delivery.send import Sender
from relay.http.request import Request, as_sent, request_target
from relay.model import Reason
from tests.delivery.conftest import NOON, delivery, read_request, serving, target

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

AS_WRITTEN = [
    "/in",
    "/a%2Fb",
    "/a%3Ab%40c",
    "/%7Euser/~user",
    "/a%2fb%c3%a9",
    "/%C3%A9",
    "/a/./b/../c",
    "/a//b///",
    "/..",
    "/.",
    "//a",
    "/a;v=1;w",
    "/a?b=c+d&e=f%20g",
    "/a?b=%2B%26%3D%23",
    "/a?",
    "/a?b",
    "/a?b=&c=&b=",
    "/a?b=c?d/e",
    "/a??",
    "/a?&&b",
    "/?b=c",
    "/a:b@c!d$e&f'g(h)i*j+k,l=m",
    '/a"b<c>d^e`f{g}|h[i]',
    "/%zz%",
    "/hook?sig=aGVsbG8%2Fd29ybGQ%3D&se=2026-11-29T00%3A00%3A00Z",
]


async def asked(url: str) -> tuple[str, str]:
    """What a target gets that is asked for this URL, which has `{port}`: the request target and the host."""
    lines: list[str] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        head, _ = await read_request(reader)
        lines.extend(head.decode("latin-1").split("\r\n"))
        writer.write(OK)

    sender = Sender(clock=lambda: datetime.now(UTC))
    async with serving(talk) as port:
        request = Request(url=url.format(port=port), headers={}, body=b"{}")
        sent = await sender.send(request, timeout=timedelta(seconds=5))
    await sender.close()
    assert sent.reason is Reason.OK, sent.detail
    host = next(line for line in lines if line.startswith("Host: ")).removeprefix("Host: ")
    return lines[0].removeprefix("POST ").removesuffix(" HTTP/1.1"), host.replace(str(port), "{port}")


@pytest.mark.parametrize("written", AS_WRITTEN)
async def test_what_is_ascii_goes_out_byte_for_byte(written: str) -> None:
    escaped = written.replace("{", "{{").replace("}", "}}")
    assert await asked("http://127.0.0.1:{port}" + escaped) == (written, "127.0.0.1:{port}")


@pytest.mark.parametrize(("url", "target"), [("", "/"), ("?b=c", "/?b=c"), ("?", "/?")])
async def test_a_url_without_a_path_asks_for_the_root(url: str, target: str) -> None:
    assert (await asked("http://127.0.0.1:{port}" + url))[0] == target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://bot.example/вход", "/%D0%B2%D1%85%D0%BE%D0%B4"),
        ("http://bot.example/a%2fb?имя=x", "/a%2fb?%D0%B8%D0%BC%D1%8F=x"),
        ("http://bot.example/имя?a=%7E", "/%D0%B8%D0%BC%D1%8F?a=%7E"),
        ("http://бот.example/a%2fb?c=%7e", "/a%2fb?c=%7e"),
    ],
)
def test_other_letters_are_encoded_and_the_part_without_them_stays(url: str, target: str) -> None:
    assert request_target(url) == target


@pytest.mark.parametrize("url", ["http://bot.example/a b", "http://bot.example/a\r\nx: y", "http://bot.example/\x7f"])
def test_what_would_break_the_request_line_is_asked_of_nobody(url: str) -> None:
    with pytest.raises(ValueError, match="not a URL"):
        request_target(url)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#")))
def test_any_ascii_after_the_host_is_kept(rest: str) -> None:
    assert request_target(f"https://bot.example/{rest}") == f"/{rest}"


def test_explain_shows_the_letters_that_go_out_and_no_secret() -> None:
    secret, written = "https://бот.example/имя/canary-1?a=%2f", "https://бот.example/имя/${TOKEN}?a=%2f"
    assert as_sent(secret, written) == "https://xn--90a0am.example/%D0%B8%D0%BC%D1%8F/${TOKEN}?a=%2f"
    assert as_sent("https://bot.example/%7E", "${BOT}/%7E") == "${BOT}/%7E"
    assert as_sent("https://бот.example/имя", "${BOT}/имя") == "${BOT}/имя", "there is no telling"


@pytest.mark.parametrize("rest", [*AS_WRITTEN, "/вход", "/вход%2fa?имя=x", "/a?имя=x"])
async def test_explain_and_the_wire_agree(rest: str, tmp_path: Path) -> None:
    """Without a port in the file: `Host` has the one that the target happens to have."""
    escaped = rest.replace("{", "{{").replace("}", "}}")
    went_out, host = await asked("http://127.0.0.1:{port}" + escaped)
    (tmp_path / "routes.yaml").write_text(
        json.dumps(
            {
                "version": 1,
                "sources": {"crm": {"token": "a-token-for-the-tests"}},
                "targets": {"bot": {"url": f"http://127.0.0.1{rest}"}},
                "routes": [{"name": "all", "otherwise": True, "to": "bot"}],
            }
        )
    )
    (tmp_path / "body.form").write_bytes(form.encode(sample_bodies.body("leads.status")))
    arguments = ["explain", str(tmp_path / "body.form"), "--json", f"--config={tmp_path / 'routes.yaml'}"]
    told = await asyncio.to_thread(CliRunner().invoke, relay, arguments)  # it runs an event loop of its own
    assert told.exit_code == 0, told.output
    [event] = json.loads(told.stdout)["events"]
    assert event["requests"][0]["url"] == f"http://{host.replace(':{port}', '')}{went_out}"


@pytest.mark.parametrize("said", ["canary%2Bone", "canary+one", "canary%2Fpath%2F0123456789", "canary/path/0123456789"])
def test_a_secret_of_the_url_is_one_as_it_is_sent_and_as_it_is_read(said: str) -> None:
    """A target may tell of either in its answer."""
    url = "https://bot.example/canary%2Fpath%2F0123456789?key=canary%2Bone&v=2"
    assert said in render(delivery(), target(url=url), now=NOON).secrets
