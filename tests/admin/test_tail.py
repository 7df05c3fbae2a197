"""`/-/tail`: documents line by line, until either side ends."""

import json
from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter

import pytest

from relay.admin.tail import FEW, FLUSH_EVERY, MAX_FOLLOWERS, flush_every
from relay.signals import Rejection, WebhookRejected
from tests.admin.conftest import Relay
from tests.e2e.processes import until

REFUSED = WebhookRejected(
    source="-", reason=Rejection.UNAUTHORIZED, detail="wrong", remote="192.0.2.7", took=timedelta()
)


async def test_who_follows_is_told_line_by_line_until_the_listener_ends(relay: Relay) -> None:
    client = await relay.client()
    async with client.get("/-/tail") as answer:
        assert answer.content_type == "application/x-ndjson"
        relay.live(REFUSED)
        assert json.loads(await answer.content.readline())["what"] == "refused"
        asked = perf_counter()
        await client.server.close()
        assert await answer.content.read() == b""
        assert perf_counter() - asked < 5, "nobody waits for those who follow"


async def test_who_has_left_follows_no_more_though_nothing_happens(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.tail.HEARTBEAT", 0.02)
    client = await relay.client()
    async with client.get("/-/tail") as answer:
        assert relay.live.followers == 1
        assert await answer.content.readline() == b"\n"
    await until(lambda: not relay.live.followers)


async def test_one_who_follows_too_many_is_turned_away(relay: Relay) -> None:
    client = await relay.client()
    async with AsyncExitStack() as stack:
        for _ in range(MAX_FOLLOWERS):
            assert (await stack.enter_async_context(client.get("/-/tail"))).status == 200
        assert (await client.get("/-/tail")).status == 503


async def test_many_followers_share_the_flushes_of_a_few(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flush_every(1) == flush_every(FEW) == FLUSH_EVERY
    assert MAX_FOLLOWERS / flush_every(MAX_FOLLOWERS) == FEW / FLUSH_EVERY

    shared: list[int] = []

    def note(followers: int) -> float:
        shared.append(followers)
        return 0.0

    monkeypatch.setattr("relay.admin.tail.flush_every", note)
    client = await relay.client()
    async with client.get("/-/tail") as first, client.get("/-/tail") as second:
        for answer in (first, second):
            assert answer.status == 200
        relay.live(REFUSED)
        for answer in (first, second):
            assert json.loads(await answer.content.readline())["what"] == "refused"
        await until(lambda: len(shared) == 2)
    assert shared == [2, 2]
