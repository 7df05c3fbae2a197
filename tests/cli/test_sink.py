"""`relay sink`: how it answers, and what it prints of what it gets."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from relay.cli.sink import Behaviour, Received, body, json_line, line, receiver

Client = TestClient[Any, Any]
Start = Callable[..., Coroutine[Any, Any, Client]]

EVENT = {"id": "0199a7c2-5f10-7d3a-8c41-6be29f30d17e", "type": "leads.status", "data": {"id": 7301, "name": "Окна"}}
HEADERS = {"webhook-id": str(EVENT["id"]), "relay-attempt": "2", "webhook-signature": "v1,aGVsbG8="}


def received(content: bytes = json.dumps(EVENT).encode(), answer: int = 200, **headers: str) -> Received:
    at = datetime(2026, 11, 22, 10, 53, tzinfo=UTC)
    return Received(at=at, method="POST", path="/in", headers=HEADERS | headers, body=content, answer=answer)


# ---- how it answers


async def statuses(client: Client, *events: str, path: str = "/") -> list[int]:
    return [(await client.post(path, headers={"webhook-id": event})).status for event in events]


async def test_everything_is_welcome_unless_said_otherwise(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append))
    assert await statuses(client, "a", "a", "b") == [200, 200, 200]


async def test_a_status_is_given_to_every_request(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append, Behaviour(status=410)))
    assert await statuses(client, "a", "a", "b") == [410, 410, 410]


async def test_the_first_requests_of_each_event_fail_and_the_next_does_not(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append, Behaviour(fail_first=2)))
    assert await statuses(client, "a", "b", "a", "a", "b", "b", "a") == [503, 503, 503, 200, 503, 200, 200]


async def test_a_status_says_how_the_first_ones_fail(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append, Behaviour(fail_first=1, status=429)))
    assert await statuses(client, "a", "a") == [429, 200]


async def test_two_targets_at_two_paths_fail_apart(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append, Behaviour(fail_first=1)))
    assert await statuses(client, "a", "a", path="/bot") == [503, 200]
    assert await statuses(client, "a", "a", path="/dwh") == [503, 200]


async def test_retry_after_comes_with_refusals_only(aiohttp_client: Start) -> None:
    client = await aiohttp_client(receiver([].append, Behaviour(fail_first=1, retry_after=5)))
    answers = [await client.post("/") for _ in range(2)]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["5", None]


async def test_a_late_answer_is_shown_before_it_is_given(aiohttp_client: Start) -> None:
    shown: list[Received] = []
    client = await aiohttp_client(receiver(shown.append, Behaviour(delay=timedelta(milliseconds=150))))
    started = time.monotonic()
    await client.post("/")
    assert time.monotonic() - started >= 0.15
    late = await aiohttp_client(receiver(shown.append, Behaviour(delay=timedelta(hours=1))))
    with pytest.raises(TimeoutError):
        await late.post("/slow", timeout=aiohttp.ClientTimeout(total=0.3))
    assert [one.path for one in shown] == ["/", "/slow"]


async def test_what_came_is_handed_on_whole(aiohttp_client: Start) -> None:
    shown: list[Received] = []
    client = await aiohttp_client(receiver(shown.append, Behaviour(status=201)))
    await client.put("/some/where?x=1", data=b"\x00\xff", headers={"WebHook-Id": "a"})
    (one,) = shown
    assert (one.method, one.path, one.query, one.body, one.answer) == ("PUT", "/some/where", "x=1", b"\x00\xff", 201)
    assert one.header("webhook-id") == "a"


async def test_bytes_that_are_no_text_are_shown_and_answered(aiohttp_client: Start) -> None:
    shown: list[Received] = []
    client = await aiohttp_client(receiver(shown.append))
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /%ff HTTP/1.1\r\nHost: x\r\nwebhook-id: \xfe\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(json_line(shown[0]))["headers"]["webhook-id"] == "\udcfe"


# ---- what people read


def test_what_was_passed_on_as_it_came_is_called_unparsed() -> None:
    chat = json.dumps({"type": "text", "message": {}}).encode()
    assert received(chat, **{"relay-unparsed": "no events"}).type == "unparsed"
    assert received(chat).type == "text"


def test_a_line_says_when_what_which_try_whether_signed_and_what_was_answered() -> None:
    at = received().at.astimezone().strftime("%H:%M:%S")
    assert line(received()).plain == f"{at}  leads.status              …9f30d17e  attempt 2   signed    200"
    assert line(received(**{"relay-replay": "true"})).plain.endswith("200  replay")


def test_a_method_of_a_targets_own_stands_before_the_type() -> None:
    put = replace(received(), method="PUT", query="a=%20b")
    assert line(put).plain.split()[1:3] == ["PUT", "leads.status"]
    shown = json.loads(json_line(put))
    assert (shown["method"], shown["path"], shown["query"]) == ("PUT", "/in", "a=%20b")


def test_a_request_that_is_not_the_relays_is_a_line_too() -> None:
    stranger = Received(at=received().at, method="GET", path="/", headers={}, body=b"", answer=503)
    assert line(stranger).plain.split()[1:] == ["-", "-", "attempt", "-", "unsigned", "503"]


def test_a_form_is_named_by_the_event_in_it() -> None:
    assert line(received(b"leads%5Bcall_in%5D%5B0%5D%5Bid%5D=7")).plain.split()[1] == "leads.call_in"
    assert line(received(b"contacts[add][0][type]=company")).plain.split()[1] == "companies.add"
    assert line(received(b"hello=world")).plain.split()[1] == "-"


@given(st.binary())
def test_whatever_comes_is_a_line(content: bytes) -> None:
    assert line(received(content)).plain.isprintable()


@given(st.text(), st.text(), st.text())
def test_a_line_fits_eighty_columns_and_stays_one_line(type_: str, event_id: str, attempt: str) -> None:
    content = json.dumps({"type": type_}).encode()
    shown = line(received(content, **{"webhook-id": event_id, "relay-attempt": attempt, "relay-replay": "true"}))
    assert cell_len(shown.plain) <= 80
    assert shown.plain.isprintable()


@given(st.binary())
def test_no_control_character_of_a_body_reaches_the_terminal(content: bytes) -> None:
    assert body(received(content)).replace("\n", "").isprintable()
    assert json_line(received(content)).isprintable()


def test_a_json_body_is_indented_and_its_letters_stay_letters() -> None:
    assert body(received()).splitlines()[3:6] == ['  "data": {', '    "id": 7301,', '    "name": "Окна"']


@pytest.mark.parametrize("text", ["[" * 300 + "]" * 300, "[" * 5000 + "]" * 5000, "[1e999]", "[NaN]", '{"a":1', ""])
def test_a_body_that_cannot_be_written_as_json_again_is_shown_as_it_came(text: str) -> None:
    assert body(received(text.encode())).replace("\n", "").replace(" ", "") == text
    assert json.loads(json_line(received(text.encode())))["headers"] == HEADERS


def test_a_number_beyond_64_bits_is_shown_to_its_last_digit() -> None:
    assert body(received(b"[123456789012345678901234567890]")).splitlines()[1] == "  123456789012345678901234567890"


def test_a_body_that_is_not_json_is_shown_as_text_with_controls_escaped() -> None:
    content = "leads[0][id]=1\x1b[31m\n\u202eдом\x7f".encode() + b"\xff"
    assert body(received(content)) == "leads[0][id]=1\\u001b[31m\n\\u202eдом\\u007f\\xff"


# ---- what programs read


def test_a_json_line_holds_the_whole_request() -> None:
    assert json.loads(json_line(received(answer=503))) == {
        "at": "2026-11-22T10:53:00+00:00",
        "method": "POST",
        "path": "/in",
        "headers": HEADERS,
        "body": EVENT,
        "answer": 503,
    }


@given(st.text())
def test_what_is_escaped_in_a_json_line_reads_back_as_it_was(name: str) -> None:
    content = json.dumps({"name": name}).encode()
    assert json.loads(json_line(received(content)))["body"] == {"name": name}


# ---- the command


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[tuple[Process, str]]:
    """(the process, its URL); killed at the end if it still runs."""
    variables = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    command = (sys.executable, "-m", "relay", "sink", "--listen", "127.0.0.1:0", *flags)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=variables)
    assert process.stderr
    try:
        banner = (await process.stderr.readline()).decode()
        yield process, banner.split()[2]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def post(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, json=EVENT, headers=HEADERS) as answer:
        return answer.status


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_a_line_for_each_request_and_ends_when_asked(signum: signal.Signals) -> None:
    async with running("--fail-first", "1") as (process, url):
        assert [await post(url), await post(url)] == [503, 200]
        process.send_signal(signum)
        printed, _ = await process.communicate()
        assert process.returncode == 0
        lines = printed.decode().splitlines()
        assert [shown.split()[-1] for shown in lines] == ["503", "200"]
        assert all("leads.status" in shown and "\x1b" not in shown for shown in lines)


async def test_the_command_prints_bodies_and_json_when_asked() -> None:
    async with running("--body") as (process, url):
        await post(url)
        process.terminate()
        printed, _ = await process.communicate()
        assert '    "name": "Окна"' in printed.decode()
    async with running("--headers") as (process, url):
        await post(f"{url}/in?lead=7")
        process.terminate()
        printed, _ = await process.communicate()
        shown = printed.decode().splitlines()
        assert shown[1] == "  POST /in?lead=7"
        assert "  content-type: application/json" in shown
        assert "Окна" not in printed.decode()
    async with running("--json", "--status", "410") as (process, url):
        assert await post(url) == 410
        process.terminate()
        printed, _ = await process.communicate()
        assert json.loads(printed)["body"] == EVENT


async def test_an_address_in_use_is_one_clear_line() -> None:
    async with running() as (_, url):
        taken = url.removeprefix("http://")
        command = (sys.executable, "-m", "relay", "sink", "--listen", taken)
        second = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
        _, said = await second.communicate()
        assert second.returncode == 1
        assert said.decode().strip().endswith(f"{taken}: Address already in use; choose another with --listen")
        assert said.count(b"\n") == 1
