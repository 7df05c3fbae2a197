"""`relay.delivery.claim_at_insert`: room in a queue is reserved until the store has replied, whatever it replies."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.delivery.queue import MAX_LENGTH
from relay.errors import StoreBusy
from relay.store.records import Duplicate
from relay.store.requests import KeepRequest
from tests.delivery.bench import Bench, keep
from tests.delivery.conftest import SECOND, Receiver, every, target
from tests.e2e.processes import until
from tests.store.conftest import routed, to, webhook

Start = Callable[..., Awaitable[Receiver]]


def room(bench: Bench) -> bool:
    """Whether the lane would take one more, which is given back."""
    leased = bench.dispatcher.lease([routed(0, to("bot"))])
    bench.dispatcher.unreserve(leased)
    return leased[0].planned[0].lease is not None


def bot(receiver: Receiver) -> Any:
    return target(url=receiver.url, retry=every(10), timeout=60 * SECOND)


async def ready(bench: Bench) -> ClaimAtInsert:
    """Once the lane has looked into the store: until then it claims nothing at insert."""
    await until(lambda: room(bench))
    return ClaimAtInsert(bench.store, bench.dispatcher)


async def test_a_failed_insert_frees_the_room_that_was_reserved(tmp_path: Path, receivers: Start) -> None:
    async with Bench(tmp_path, bot(await receivers())) as bench:
        await bench.store._writer.submit(lambda cursor: cursor.connection.set_busy_timeout(10))
        claiming = await ready(bench)
        other = apsw.Connection(str(bench.path))
        other.set_busy_timeout(5_000)  # the dispatcher writes now and then
        other.execute("begin immediate")
        inserts = [keep(claiming, webhook(n), [routed(n, to("bot"))]) for n in range(MAX_LENGTH)]
        assert not room(bench), "the reservations last until the store has replied"
        results = await asyncio.gather(*inserts, return_exceptions=True)
        assert {type(each) for each in results} == {StoreBusy}
        other.close()
        await until(lambda: room(bench))


async def test_a_duplicate_frees_it_and_is_delivered_once(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, bot(receiver)) as bench:
        claiming, window = await ready(bench), timedelta(hours=1)
        first = await keep(claiming, webhook(1), [routed(1, to("bot"))], window)
        assert not isinstance(first, Duplicate)
        repeats = [await keep(claiming, webhook(n), [routed(n, to("bot"))], window) for n in range(2, 2 + MAX_LENGTH)]
        assert {each.webhook for each in repeats if isinstance(each, Duplicate)} == {"webhook-0001"}
        await bench.until_attempted(1)
        assert room(bench)
    assert len(receiver.requests) == 1


async def test_a_store_that_raises_frees_it(tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Bench(tmp_path, bot(await receivers())) as bench:

        def fail(*_arguments: object, **_more: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(bench.store, "keep_many", fail)
        claiming = await ready(bench)
        for n in range(MAX_LENGTH):
            with pytest.raises(ZeroDivisionError):
                keep(claiming, webhook(n), [routed(n, to("bot"))])
        assert room(bench)


async def test_a_reply_is_passed_on_once_the_lane_has_its_claims_and_also_if_the_lane_fails(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook is on disk then, and amoCRM waits for its 200."""
    order: list[str] = []

    def fail(_deliveries: object) -> None:
        order.append("lane")
        raise ZeroDivisionError

    async with Bench(tmp_path, bot(await receivers())) as bench:
        claiming = await ready(bench)
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
        monkeypatch.setattr(bench.dispatcher, "admit", fail)
        event = [routed(1, to("bot"))]
        claiming.keep_many([KeepRequest(webhook(1), event)], lambda _replies: order.append("reply"))
        await until(lambda: len(order) == 2)
    assert order == ["lane", "reply"]
    assert [type(each) for each in faults] == [ZeroDivisionError]
