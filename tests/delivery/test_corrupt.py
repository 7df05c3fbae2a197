"""`relay.delivery.lane` with events that the disk has changed: they are sent to nobody and delay nobody."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.model import Format, Health, Order, Reason, State
from relay.store.records import Due
from relay.store.sqlite.integrity import verify
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target
from tests.store.damage import flip

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
    assert record.why == "not sent: its JSON in the store is corrupt, see `relay verify`"
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
    assert "the body of its webhook in the store is corrupt" in record.why


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
    assert all(each.outcome.took < timedelta(seconds=10) for each in bench.attempted)


# ---- a row of `deliveries`


@pytest.mark.parametrize("text", [b'\x02bot["all"]pending', b"\x02bot"], ids=["its state", "its target"])
async def test_a_row_that_no_index_knows_any_more_is_neither_sent_nor_looked_for_all_the_time(
    text: bytes, tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    flip(tmp_path / "relay.db", text)
    async with Bench(tmp_path, to(receiver)) as bench:
        looks = bench.count_looks()
        await bench.until_attempted(2)
        await asyncio.sleep(0.5)
        assert looks() < 5
    assert sorted(each.event_id for each in receiver.requests) == [event_id(1), event_id(3)]


NO_TEXT = "cast(x'ff' as text)"
"""What a number or some bytes look like if the disk has changed what they are."""


@pytest.mark.parametrize("column", ["pending_since", "attempt", "base", "replays"])
async def test_a_number_that_is_none_any_more_holds_up_no_other(column: str, tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, f"update deliveries set {column} = {NO_TEXT} where event = 1")
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(2)
        assert not bench._running.done()
    assert sorted(each.event_id for each in receiver.requests) == [event_id(2), event_id(3)]


async def test_a_time_of_arrival_that_is_none_any_more_holds_up_no_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, f"update events set received_at = {NO_TEXT} where id = '{event_id(1)}'")
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(2)
        assert not bench._running.done()
    assert sorted(each.event_id for each in receiver.requests) == [event_id(2), event_id(3)]


async def test_a_time_of_arrival_out_of_range_holds_up_no_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, f"update events set received_at = {-(1 << 47)} where id = '{event_id(1)}'")
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_none_pending()
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("column", ["entity", "entity_id"])
async def test_an_entity_that_is_no_text_any_more_holds_up_no_other(
    column: str, tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, f"update events set {column} = {NO_TEXT} where id = '{event_id(1)}'")
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_none_pending()
    assert len(receiver.requests) == 3


async def test_a_delivery_whose_event_is_gone_is_not_looked_for_all_the_time(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    spoil(tmp_path, f"delete from events where id = '{event_id(1)}'")
    async with Bench(tmp_path, to(receiver)) as bench:
        looks = bench.count_looks()
        await bench.until_attempted(2)
        await asyncio.sleep(0.5)
        assert looks() < 5
    assert sorted(each.event_id for each in receiver.requests) == [event_id(2), event_id(3)]


async def test_an_attempt_that_is_null_holds_up_no_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2, 3])
    content = (tmp_path / "relay.db").read_bytes()
    text_text_0_0, text_text_0_null = b"\x1b\x1b\x08\x08", b"\x1b\x1b\x08\x00"  # routes, state, claimed, attempt
    (tmp_path / "relay.db").write_bytes(content.replace(text_text_0_0, text_text_0_null, 1))
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(2)
        assert await bench.pending() == 1


async def test_a_due_time_that_is_none_any_more_ends_no_relay(tmp_path: Path, receivers: Start) -> None:
    bot = to(await receivers())
    await kept(tmp_path, bot, [1])
    spoil(tmp_path, f"update deliveries set due_at = {NO_TEXT}")
    async with Bench(tmp_path, bot) as bench:
        assert await bench.store.due(["bot"]) == Due(at={}, paused=frozenset())
        await asyncio.sleep(0.1)
        assert not bench._running.done()


async def test_a_checksum_that_is_text_holds_up_no_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    await kept(tmp_path, to(receiver), [1, 2])
    spoil(tmp_path, f"update events set checksum = {NO_TEXT} where id = '{event_id(1)}'")
    assert verify(tmp_path / "relay.db").contents["events"].corrupt == (event_id(1),)
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(2)
        records = await bench.deliveries()
    assert [each.state for each in records] == [State.DEAD, State.DELIVERED]


async def test_a_key_that_is_no_text_is_settled_as_any_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    bot = to(receiver, order=Order.ENTITY)
    await kept(tmp_path, bot, [1])
    spoil(tmp_path, f"update deliveries set key = {NO_TEXT}")
    async with Bench(tmp_path, bot) as bench:
        await bench.until_none_pending()
        record = await bench.delivery(1)
    assert [each.number for each in record.attempts] == [1]
    assert len(receiver.requests) == 1
