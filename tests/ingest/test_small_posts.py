"""A webhook in one segment, which the fast server takes without a task, and one in two: the same answer and signals."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.http.aiohttp_version import Variant
from relay.http.machine_limits import Limits
from relay.http.post import SMALL, Post
from relay.http.response import Response
from relay.ingest import answers, endpoint
from relay.ingest.budget import LARGE
from relay.ingest.endpoint import Intake
from relay.model import Source, Webhook
from relay.signals import DuplicateReceived, Probed, WebhookRejected, WebhookStored
from tests.e2e.processes import until
from tests.scene import LEAD, MAX_BODY, TOKEN, WON, Scene, form
from tests.store.conftest import NOON

AT = f"/hooks/crm/{TOKEN}"
CHANGED = form(LEAD | {"last_modified": 1764000600})

TAKEN: dict[str, tuple[str, bytes, int]] = {
    "stored": (AT, form(LEAD, WON), 200),
    "with a query": (f"{AT}?try=24h-1st&x=%20/", form(LEAD), 200),
    "unparsed": (AT, b"hello", 200),
    "a duplicate": (AT, CHANGED, 200),
    "another account": (f"/hooks/shop/{TOKEN}", form(LEAD, account={"id": 13}), 403),
    "a fault before its commit": (AT, form(LEAD, account={"id": 666}), 200),
    "a fault after its commit": (f"{AT}?fail", form(LEAD), 500),
    "as large as allowed": (AT, b"x" * MAX_BODY, 200),
}
OTHERS: dict[str, tuple[str, bytes, int]] = {
    "with a fragment": (f"{AT}?a#b", form(LEAD), 200),
    "with a fragment in its path": (f"{AT}#b", form(LEAD), 200),
    "a slash too many": (f"/hooks//crm/{TOKEN}/", form(LEAD), 200),
    "an escaped slash": (f"/hooks/crm%2F{TOKEN}", form(LEAD), 404),
    "an escaped letter": (f"/hooks/%63rm/{TOKEN}", form(LEAD), 200),
    "dots": (f"/hooks/./crm/{TOKEN}", form(LEAD), 404),
    "an absolute address": (f"http://relay{AT}", form(LEAD), 200),
    "too large": (AT, b"x" * (MAX_BODY + 1), 413),
    "empty": (AT, b"", 200),
    "a wrong token": ("/hooks/crm/wrong", form(LEAD), 404),
    "no source": (f"/hooks/no/{TOKEN}", form(LEAD), 404),
    "no hook": ("/elsewhere", form(LEAD), 404),
    "no token": ("/hooks/crm", form(LEAD), 404),
}
_VARYING = re.compile(
    r"Date: [^\r]*|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4}-[0-9-]*T[0-9:.]*Z|datetime\.(datetime|timedelta)\([^)]*\)"
    r"|(?<=commit=)[0-9.e-]+"
)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the intake says of each post that it is offered; an account of 666 trips it, or the query `fail`."""
    refusal, stored, receive, taken = Source.refusal, answers.stored, Intake.receive, list[bool]()

    def tripping(source: Source, account: Any) -> str | None:
        if str(account.get("id")) == "666":
            raise ZeroDivisionError
        return refusal(source, account)

    def failing(webhook: Webhook, events: int, deliveries: int) -> Response:
        if webhook.query == "fail":
            raise ZeroDivisionError
        return stored(webhook, events, deliveries)

    def noting(intake: Intake, post: Post) -> bool:
        taken.append(receive(intake, post))
        return taken[-1]

    monkeypatch.setattr(Source, "refusal", tripping)
    monkeypatch.setattr(answers, "stored", failing)
    monkeypatch.setattr(Intake, "receive", noting)
    return taken


@pytest.mark.parametrize("name", [*TAKEN, *OTHERS])
async def test_one_segment_or_two_make_no_difference(
    name: str, server: Variant, taken: list[bool], scene: Scene
) -> None:
    address, body, status = (TAKEN | OTHERS)[name]
    if name == "a duplicate":
        await scene.post(body)
    taken.clear()
    one = await seen(scene, address, body, pause=0)
    assert taken == ([name in TAKEN] if server is Variant.FAST and body else [])
    taken.clear()
    two = await seen(scene, address, body, pause=0.05)
    assert not any(taken)
    assert one == two
    assert one[0].startswith(f"HTTP/1.1 {status} ")
    assert one[1]


@pytest.mark.parametrize("limits", [Limits(memory=10_000)])
@pytest.mark.parametrize("pause", [0, 0.05])
async def test_without_room_in_memory_both_are_503(
    pause: float, limits: Limits, server: Variant, taken: list[bool], scene: Scene
) -> None:
    reservation = scene.budget.reservation()
    reservation.grow(10_000)
    answer, [signal] = await seen(scene, AT, form(LEAD), pause=pause)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "too many webhooks, or too large ones, at once" in answer
    assert "unavailable" in signal
    assert not any(taken)
    reservation.release()
    for _ in range(3):
        assert (await seen(scene, AT, form(LEAD), pause=pause))[0].startswith("HTTP/1.1 200 ")
    await until(lambda: scene.budget.used == 0)


@pytest.mark.parametrize("limits", [Limits(memory=100_000)])
async def test_each_post_frees_its_memory_however_it_ends(
    limits: Limits, server: Variant, taken: list[bool], scene: Scene
) -> None:
    for address, body, _ in TAKEN.values():
        await seen(scene, address, body, pause=0)
        await until(lambda: scene.budget.used == 0)
    many = form(*[LEAD] * 100)
    assert (await seen(scene, AT, many, pause=0))[0].startswith("HTTP/1.1 200 ")
    await until(lambda: scene.budget.used == 0)


async def test_a_post_is_answered_in_the_turn_in_which_the_store_replies(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    keep_many, respond = ClaimAtInsert.keep_many, Post.respond

    def replying(claiming: ClaimAtInsert, requests: Any, on_replies: Any) -> None:
        def reply(replies: Any) -> None:
            on_replies(replies)
            seen.append("the turn goes on")

        keep_many(claiming, requests, reply)

    def responding(post: Post, response: Response) -> None:
        seen.append("answered")
        respond(post, response)

    monkeypatch.setattr(ClaimAtInsert, "keep_many", replying)
    monkeypatch.setattr(Post, "respond", responding)
    assert (await scene.post(form(LEAD))).status == 200
    assert seen == ["answered", "the turn goes on"]


async def test_the_clock_is_read_once_in_each_millisecond(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = scene.relay._receiving
    assert intake
    clock = iter([NOON + timedelta(microseconds=1_999), NOON + timedelta(microseconds=3_500)])
    seconds = iter([7.0, 7.0004, 7.0009, 7.0011, 7.0012])
    monkeypatch.setattr(intake, "_clock", lambda: next(clock))
    monkeypatch.setattr(endpoint, "perf_counter", lambda: next(seconds))
    assert [(intake._now() - NOON) / timedelta(milliseconds=1) for _ in range(5)] == [1, 1, 1, 3, 3]


def test_the_decoder_awaits_no_body_that_is_small_for_a_listener() -> None:
    assert SMALL <= LARGE


async def seen(scene: Scene, address: str, body: bytes, *, pause: float) -> tuple[str, list[str]]:
    """The answer and the signals, without times and ids; the body is sent so many seconds after the head."""
    scene.facts.signals.clear()
    head = (
        f"POST {address} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nX-Amocrm-Requestid: 7\r\nX-Signature: \xff\r\n\r\n"
    ).encode("latin-1")
    async with scene.connected() as (reader, writer):
        for segment in (head, body) if pause else (head + body,):
            writer.write(segment)
            await asyncio.sleep(pause)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", answer)
        assert length
        answer += await reader.readexactly(int(length[1]))
    ends = WebhookStored | DuplicateReceived | WebhookRejected | Probed
    signals = [repr(each) for each in scene.facts.signals if isinstance(each, ends)]
    return _VARYING.sub("-", answer.decode()), [_VARYING.sub("-", each) for each in signals]
