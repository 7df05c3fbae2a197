"""`relay.delivery.lane` with events that the disk has changed: they reach nobody, and hold nobody up."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw

from relay.delivery.breaker import Health
from relay.model import Format, Order, Reason, State
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target

Start = Callable[..., Awaitable[Receiver]]


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(10), "timeout": SECOND, "breaker_failures": 1000} | changes)


async def kept(folder: Path, bot: Any, numbers: list[int], **more: Any) -> None:
    """All of one lead, pending in the store of a relay that has stopped."""
    async with Bench(folder, bot) as bench:
        bench.dispatcher.pause({"bot"})
        await bench.keep(numbers, lead=lambda _number: 1, **more)


def spoil(folder: Path, sql: str) -> None:
    connection = apsw.Connection(str(folder / "relay.db"))
    connection.execute(sql)
    connection.close()


SPOIL_EVENT_2 = f"update events set payload = '{{]'  where id = '{event_id(2)}'"


async def test_it_is_dead_at_once_and_the_others_are_delivered(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, SPOIL_EVENT_2)
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(3)
        records = await bench.deliveries()
        record = await bench.delivery(2)
    assert [each.state for each in records] == [State.DELIVERED, State.DEAD, State.DELIVERED]
    assert [each.reason for each in record.attempts] == [Reason.CORRUPT]
    assert record.why == "not sent: its JSON in the store is not what was kept, see `relay verify`"
    assert {each.event_id for each in receiver.requests} == {event_id(1), event_id(3)}


async def test_what_follows_it_in_order_is_not_held_up(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    bot = to(receiver, order=Order.ENTITY)
    await kept(tmp_path, bot, [1, 2, 3])
    spoil(tmp_path, SPOIL_EVENT_2)
    async with Bench(tmp_path, bot) as bench:
        await bench.until_attempted(3)
    assert [each.event_id for each in receiver.requests] == [event_id(1), event_id(3)]


async def test_a_body_that_is_not_what_came_is_sent_to_nobody_as_a_form(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    bot = to(receiver, format=Format.FORM)
    await kept(tmp_path, bot, [1], body=b"leads[add][0][id]=1")
    spoil(tmp_path, "update webhooks set body = cast('leads[add][0][id]=2' as blob)")
    async with Bench(tmp_path, bot) as bench:
        await bench.until_attempted(1)
        record = await bench.delivery(1)
    assert (record.state, receiver.requests) == (State.DEAD, [])
    assert "the body of its webhook in the store is not what was kept" in record.why


async def test_it_says_nothing_of_a_target_that_is_held(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: 503)
    bot = to(receiver, breaker_failures=1, retry=every(50))
    await kept(tmp_path, bot, [1, 2, 3])
    spoil(tmp_path, "update events set payload = '{]' where seq > 1")
    async with Bench(tmp_path, bot) as bench:
        await bench.until(lambda: sum(each.outcome.reason is Reason.CORRUPT for each in bench.attempted) == 2)
        await bench.until_attempted(4)
        assert bench.dispatcher.health()["bot"] is not Health.OK
        assert await bench.pending() == 1
    assert {each.event_id for each in receiver.requests} == {event_id(1)}
    assert all(each.outcome.took < timedelta(seconds=1) for each in bench.attempted)
