"""`relay.observe.event_stream`: what followers get, that a slow one misses some, and that nobody waits for them."""

import asyncio
from datetime import timedelta

import pytest

from relay.observe import EventStream
from relay.observe.event_stream import MAX_BEHIND, MAX_BYTES_BEHIND, Document
from relay.signals import Committed, Signal
from tests.observe.conftest import NOON, attempted, refused


def documents(signal: Signal) -> list[Document]:
    return [] if isinstance(signal, Committed) else [{"what": "refused"}]


async def test_documents_are_stamped_with_the_time() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as follower:
        live(refused())
        assert await follower.news() == [{"at": "2026-11-22T12:00:00.000Z", "what": "refused"}]


async def test_a_signal_that_cannot_be_shown_is_a_fault_and_breaks_nothing() -> None:
    def broken(_signal: Signal) -> list[Document]:
        raise ValueError("odd")

    live = EventStream(lambda: NOON, broken)
    with live.following() as follower:
        live(refused())
        [document] = await follower.news()
        assert (document["what"], document["detail"]) == ("fault", "ValueError('odd')")


async def test_a_follower_gets_only_published_signals() -> None:
    live = EventStream(lambda: pytest.fail("asked for the time of what is not shown"), documents)
    with live.following() as follower:
        live(Committed(writes=1, took=timedelta()))
        live.end()
        assert await follower.news() == []


async def test_a_slow_follower_misses_some_and_gets_their_number() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as follower:
        for _ in range(MAX_BEHIND + 5):
            live(refused())
        news = await follower.news()
        assert len(news) == MAX_BEHIND + 1
        assert news[-1] == {"at": "2026-11-22T12:00:00.000Z", "what": "missed", "number": 5}
        live(refused())
        assert [each["what"] for each in await follower.news()] == ["refused"]


async def test_nothing_is_made_of_a_fact_while_nobody_watches() -> None:
    live = EventStream(pytest.fail, pytest.fail)
    live(refused())
    with live.following():
        assert live.followers == 1
    live(attempted())  # whose payload could not be read
    assert live.followers == 0


async def test_a_waiting_follower_is_woken_by_an_event_and_by_the_end() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as follower:
        waiting = asyncio.create_task(follower.news())
        await asyncio.sleep(0)
        live(refused())
        assert len(await waiting) == 1
        waiting = asyncio.create_task(follower.news())
        await asyncio.sleep(0)
        live.end()
        assert await waiting == []


async def test_a_follower_may_ask_for_documents_of_its_own() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as follower, live.following(lambda _signal: [{"what": "event"}]) as other:
        live(refused())
        assert [each["what"] for each in await follower.news()] == ["refused"]
        assert [each["what"] for each in await other.news()] == ["event"]
    assert live.followers == 0


async def test_a_new_follower_gets_nothing_of_what_happened_before() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as first:
        live(refused())
        with live.following() as second:
            assert len(await first.news()) == 1
            live.end()
            assert await second.news() == []


async def test_what_happened_before_the_end_is_not_lost() -> None:
    live = EventStream(lambda: NOON, documents)
    with live.following() as follower:
        live(refused())
        live.end()
        assert [each["what"] for each in await follower.news()] == ["refused"]
        assert await follower.news() == []


async def test_what_waits_for_a_slow_follower_is_bounded_by_its_size_too() -> None:
    sizes = iter([MAX_BYTES_BEHIND + 1, MAX_BYTES_BEHIND, 1])
    live = EventStream(lambda: NOON, lambda _signal: [{"what": "event", "size": next(sizes)}])
    with live.following() as follower:
        live(refused())
        assert [each["what"] for each in await follower.news()] == ["missed"]
        live(refused())
        live(refused())
        whole, missed = await follower.news()
        assert (whole["size"], missed["number"]) == (MAX_BYTES_BEHIND, 1)
        sizes = iter([MAX_BYTES_BEHIND])
        live(refused())
        assert [each["what"] for each in await follower.news()] == ["event"], "what was taken waits no more"
