"""`ok_if` and `retry_after` against real answers, with both clients; what cannot be read or judged is retried."""

import asyncio
import gzip
from asyncio import StreamReader, StreamWriter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from relay.delivery.answer import MAX_BODY, Answer
from relay.delivery.answer_rules import AnswerRules, pause_of
from relay.delivery.breaker import Breaker
from relay.delivery.retry import decide
from relay.delivery.send import Sender
from relay.http.request import Request
from relay.model import Delivered, Health, Outcome, Reason, RetryAt, Target
from relay.routes.template import ANSWER_NAMES, compile_expression
from tests.delivery.authority import answer, authorizing
from tests.delivery.bench import Bench
from tests.delivery.conftest import (
    NOON,
    SECOND,
    Talk,
    delivery,
    every,
    outcome,
    read_request,
    receiving,
    serving,
    target,
)

OK = "{{ answer.ok }}"
WAIT = "{{ answer.parameters.retry_after }}"
DEEP = 60_000


def expecting(ok_if: str | None = OK, retry_after: str | None = None, **more: Any) -> Target:
    compiled = [each and compile_expression(each, ANSWER_NAMES) for each in (ok_if, retry_after)]
    return target(ok_if=compiled[0], retry_after=compiled[1], **more)


async def send(sender: Sender, talk: Talk, to: Target, *, seconds: float = 3.0) -> Outcome:
    async with serving(talk) as port:
        request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"{}", secrets=("canary",))
        sent = await sender.send(request, timeout=timedelta(seconds=seconds), judge=AnswerRules(to))
    assert "canary" not in sent.detail
    return sent


def says(status: int, body: object, *headers: str) -> Talk:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return speaks(answer(status, raw, *headers))


def speaks(*pieces: bytes, pause: float = 0.0, for_ever: bool = False) -> Talk:
    """These pieces; the last for ever, if so asked."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        while for_ever and not writer.is_closing():
            writer.write(pieces[-1])
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


# ---- ok_if


@pytest.mark.parametrize(
    ("ok_if", "body", "delivered"),
    [
        (OK, {"ok": True}, True),
        (OK, {"ok": False}, False),
        (OK, {"ok": None}, False),
        (OK, {}, False),
        (OK, [], False),
        (OK, b"null", False),
        ('{{ answer.status == "success" }}', {"status": "success"}, True),
        ('{{ answer.status == "success" }}', {"status": "failed"}, False),
        ("{{ not answer.errors }}", {"errors": []}, True),
        ("{{ not answer.errors }}", {"errors": [1]}, False),
        ("{{ answer[0].ok }}", [{"ok": True}], True),
        ("{{ status == 200 and answer.ok }}", {"ok": True}, True),
        ('{{ headers["x-result"] == "ok" }}', b"\xff not JSON", True),
        ("{{ status == 201 }}", b"", False),
    ],
)
async def test_it_decides_on_a_2xx(ok_if: str, body: object, delivered: bool, sender: Sender) -> None:
    sent = await send(sender, says(200, body, "X-Result: ok"), expecting(ok_if))
    assert (sent.status, sent.reason) == (200, Reason.OK if delivered else Reason.ANSWER)
    assert isinstance(decide(delivery(), sent, target(), now=NOON, roll=0.0), Delivered if delivered else RetryAt)


async def test_what_it_rejects_is_told_with_the_start_of_the_answer(sender: Sender) -> None:
    sent = await send(sender, says(200, {"ok": False, "error": "chat canary not found"}), expecting())
    assert sent.detail == 'ok_if does not hold: {"ok":false,"error":"chat *** not found"}'


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
PACKED = gzip.compress(b'{"ok": true}')
UNREADABLE: dict[str, tuple[Talk, str]] = {
    "not JSON": (says(200, b"<html>"), "its body is no JSON"),
    "empty": (says(200, b""), "its body is empty"),
    "deep": (says(200, b"[" * DEEP), "its body is no JSON"),
    "deep and closed": (says(200, b"[" * (DEEP // 2) + b"]" * (DEEP // 2)), "its body is no JSON"),
    "not UTF-8": (says(200, '{"ok": true, "text": "Да"}'.encode("cp1251")), "its body is no JSON"),
    "NaN": (says(200, b'{"ok": NaN}'), "its body is no JSON"),
    "two": (says(200, b'{"ok": true}{"ok": true}'), "its body is no JSON"),
    "gzip": (says(200, PACKED, "Content-Encoding: gzip"), "its body is compressed, which was not asked for"),
    "too long": (says(200, b'{"ok": true}' + b" " * MAX_BODY), "its body is longer than 64 KiB"),
    "endless": (speaks(HEAD + b'{"items": [', b"1," * 30_000, for_ever=True), "its body is longer than 64 KiB"),
    "dripping": (speaks(HEAD + b'{"ok": true', b" ", pause=0.02, for_ever=True), "its body did not end in time"),
    "cut off": (speaks(answer(200, b'{"ok": true}').replace(b": 12", b": 99")), "its body broke off"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_it_cannot_judge_is_retried(kind: str, sender: Sender) -> None:
    talk, why = UNREADABLE[kind]
    sent = await send(sender, talk, expecting(), seconds=1.5 if kind == "dripping" else 30)
    assert (sent.status, sent.reason) == (200, Reason.ANSWER)
    assert sent.detail.startswith(f"ok_if cannot judge it: {why}")


async def test_it_waits_for_the_body_as_long_as_the_attempt_may_take(sender: Sender) -> None:
    sent = await send(sender, speaks(HEAD + b'{"ok": ', b"true}", pause=1.2), expecting(), seconds=30)
    assert sent.reason is Reason.OK


async def test_a_body_of_64_kib_with_a_byte_order_mark_is_judged(sender: Sender) -> None:
    start = b'\xef\xbb\xbf{"ok": true}'
    sent = await send(sender, says(200, start + b" " * (MAX_BODY - len(start))), expecting())
    assert sent.reason is Reason.OK


@pytest.mark.parametrize("status", [400, 404, 500, 503, 302])
async def test_it_has_no_say_in_any_other_status(status: int, sender: Sender) -> None:
    sent = await send(sender, says(status, {"ok": True}), expecting())
    assert sent.reason is not Reason.OK
    assert (sent.status, sent.detail) == (status, '{"ok":true}')


async def test_it_decides_on_the_statuses_of_ok_on_too(sender: Sender) -> None:
    to = expecting(ok_on=frozenset({409}))
    sent = await send(sender, says(409, {"ok": True}), to)
    assert isinstance(decide(delivery(), sent, to, now=NOON, roll=0.0), Delivered)
    sent = await send(sender, says(409, {"ok": False}), to)
    assert sent.reason is Reason.ANSWER
    assert isinstance(decide(delivery(), sent, to, now=NOON, roll=0.0), RetryAt)


async def test_what_it_judges_keeps_its_connection(sender: Sender) -> None:
    connections = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(answer(200, b'{"ok": true}'))

    async with serving(talk) as port:
        request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"{}")
        for _ in range(5):
            await sender.send(request, timeout=SECOND, judge=AnswerRules(expecting()))
    assert connections == 1


def test_what_it_rejects_opens_the_circuit_like_any_failure() -> None:
    rejected = outcome(Reason.ANSWER, status=200)
    fussy = target(breaker_failures=2)
    breaker = Breaker()
    for _ in range(2):
        breaker = breaker.after(rejected, fussy, probe=False, now=NOON, roll=0.0)
    assert breaker.health is Health.OPEN


# ---- retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (7, 7), ("7", 7), (" 7 ", 7), (2.5, 2.5), ("2.5", 2.5), (10**9, 86_400), ("999999999", 86_400), (1e300, 86_400),
        (0, None), (-5, None), ("-5", None), (True, None), (None, None), ("soon", None), ("", None), ([7], None),
        ({"a": 7}, None), ("7s", None), ("٧", None), ("1e9", None), (float("nan"), None), (float("inf"), 86_400),
    ],
)  # fmt: skip
def test_a_pause_is_seconds_above_0_and_a_day_at_most(value: object, seconds: float | None) -> None:
    assert pause_of(value) == (None if seconds is None else timedelta(seconds=seconds))


async def test_it_names_the_pause_of_an_answer_that_is_retried(sender: Sender) -> None:
    busy = {"ok": False, "parameters": {"retry_after": 7}}
    for status in (429, 503, 500, 200):
        sent = await send(sender, says(status, busy), expecting(OK, WAIT))
        assert (sent.status, sent.retry_after) == (status, 7 * SECOND)


async def test_it_goes_before_the_header_which_stands_in_for_it(sender: Sender) -> None:
    sent = await send(sender, says(429, {"parameters": {"retry_after": 7}}, "Retry-After: 9"), expecting(None, WAIT))
    assert sent.retry_after == 7 * SECOND
    for body in ({}, {"parameters": {"retry_after": -1}}, b"<html>"):
        sent = await send(sender, says(429, body, "Retry-After: 9"), expecting(None, WAIT))
        assert sent.retry_after == 9 * SECOND


async def test_it_may_be_worked_out(sender: Sender) -> None:
    to = expecting(None, "{{ answer.wait + 0.5 }}")
    assert (await send(sender, says(429, {"wait": 2}), to)).retry_after == 2.5 * SECOND


async def test_it_may_read_a_header(sender: Sender) -> None:
    to = expecting(None, '{{ headers["x-wait"] }}')
    assert (await send(sender, says(429, b"slow down", "X-Wait: 3"), to)).retry_after == 3 * SECOND


async def test_an_answer_that_is_delivered_or_dead_names_none(sender: Sender) -> None:
    for status in (200, 400):
        sent = await send(sender, says(status, {"ok": True, "parameters": {"retry_after": 7}}), expecting(OK, WAIT))
        assert sent.retry_after is None


@pytest.mark.parametrize("kind", ["endless", "dripping", "cut off"])
async def test_a_status_is_not_kept_waiting_for_it(kind: str, sender: Sender) -> None:
    head = b"HTTP/1.1 503 Busy\r\n\r\n"
    talk = {
        "endless": speaks(head, b"1," * 30_000, for_ever=True),
        "dripping": speaks(head, b" ", pause=0.02, for_ever=True),
        "cut off": speaks(head.replace(b"\r\n\r\n", b"\r\nContent-Length: 99\r\n\r\n") + b"{"),
    }[kind]
    sent = await send(sender, talk, expecting(None, WAIT), seconds=30)
    assert (sent.status, sent.reason, sent.retry_after) == (503, Reason.SERVER_ERROR, None)
    assert sent.took < 10 * SECOND


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (outcome(Reason.ANSWER, status=200, retry_after=20 * SECOND), 20),
        (outcome(Reason.TOO_MANY, status=429, retry_after=20 * SECOND), 20),
        (outcome(Reason.ANSWER, status=200, retry_after=9_000 * SECOND), 3_600),
    ],
)
def test_it_holds_the_whole_target_for_as_long_as_its_policy_allows(said: Outcome, pause: int) -> None:
    breaker = Breaker().after(said, target(), probe=False, now=NOON, roll=0.0)
    assert (breaker.health, breaker.requested) == (Health.OPEN, True)
    assert breaker.probe_at == NOON + pause * SECOND


def test_a_delivery_waits_as_long_as_it_names() -> None:
    verdict = decide(
        delivery(), outcome(Reason.ANSWER, status=200, retry_after=9_000 * SECOND), target(), now=NOON, roll=0.0
    )
    assert verdict == RetryAt(NOON + 9_000 * SECOND)


# ---- expressions that fail


def test_an_expression_that_has_no_value_rejects_the_answer() -> None:
    to = expecting("{{ answer.a < answer.b }}")
    judgement = AnswerRules(to).judge(Answer(status=200, headers={}, body=b'{"a": "x", "b": 7}'))
    assert judgement.reason is Reason.ANSWER


def test_a_target_without_them_reads_no_whole_answer() -> None:
    rules = AnswerRules(replace(target(), name="bot"))
    assert [rules.patience(status) for status in (200, 302, 400, 503)] == [None] * 4


# ---- the lane


async def test_a_lane_repeats_what_is_rejected_until_it_is_not(tmp_path: Path) -> None:
    def answered(request: Any) -> web.Response:
        return web.json_response({"ok": request.attempt > 2})

    async with receiving(answered) as receiver:
        async with Bench(tmp_path, expecting(url=receiver.url, retry=every(10))) as bench:
            await bench.keep([1])
            await bench.until_none_pending()
        assert [each.outcome.reason for each in bench.attempted] == [Reason.ANSWER, Reason.ANSWER, Reason.OK]
        assert [request.attempt for request in receiver.requests] == [1, 2, 3]


async def test_a_lane_judges_what_it_sends_with_an_access_token(tmp_path: Path) -> None:
    async with receiving(lambda _request: web.json_response({"ok": False})) as receiver, authorizing() as authority:
        to = expecting(url=receiver.url, retry=every(10), oauth2=authority.settings())
        async with Bench(tmp_path, to) as bench:
            await bench.keep([1])
            await bench.until_attempted(2)
        assert {each.outcome.reason for each in bench.attempted} == {Reason.ANSWER}
        assert len(authority.requests) == 1
