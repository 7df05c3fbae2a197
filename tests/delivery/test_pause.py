"""A paused target: nothing is begun, what is in flight ends, no attempt is spent; and what is reported to the store."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from relay.model import Health, State
from relay.store.records import HealthReport
from relay.store.sqlite.store import SqliteStore
from tests.delivery.bench import Bench, act, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target
from tests.e2e.processes import until

Start = Callable[..., Awaitable[Receiver]]


def to(receiver: Receiver, name: str = "bot", **changes: Any) -> Any:
    return target(name=name, url=receiver.url, **{"retry": every(10), "timeout": SECOND} | changes)


async def pause(bench: Bench) -> None:
    """As the dispatcher does when it sees it in the store."""
    await bench.store.pause("bot", act())
    bench.dispatcher.pause({"bot"})


async def resume(bench: Bench) -> None:
    await bench.store.resume("bot", act())
    bench.dispatcher.pause(())


def events(receiver: Receiver) -> list[str]:
    return [request.event_id for request in receiver.requests]


async def test_what_is_queued_or_comes_waits_unattempted_and_what_is_in_flight_ends(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        await bench.keep([1, 2])
        await receiver.until(lambda r: r.in_flight == 1)
        await pause(bench)
        assert bench.dispatcher.health() == {"bot": Health.PAUSED}
        await bench.keep([3])
        receiver.gate.set()
        await bench.until_attempted(1)
        await bench.dispatcher.stop(SECOND)
        records = await bench.deliveries()
    assert [(d.state, d.attempt, d.claimed) for d in records] == [
        (State.DELIVERED, 1, False),
        (State.PENDING, 0, False),
        (State.PENDING, 0, False),
    ]


async def test_resumed_everything_goes_on_in_order_of_arrival(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        await pause(bench)
        await bench.keep([1])
        await bench.keep([2, 3])
        bench.stop_polling()  # nobody else tells the lane to look
        await resume(bench)
        await bench.until_none_pending()
    assert events(receiver) == [event_id(n) for n in (1, 2, 3)]


async def test_a_retry_that_falls_due_waits_too(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if request.attempt == 1 else 200)
    async with Bench(tmp_path, to(receiver, retry=every(1))) as bench:
        receiver.gate.clear()
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        await pause(bench)
        receiver.gate.set()
        await bench.until_attempted(1)
        bench.dispatcher.use({"bot": to(receiver, retry=every(1), concurrency=2)})  # a reload looks through the store
        await bench.dispatcher.stop(SECOND)
        record = await bench.delivery(1)
    assert (record.state, record.attempt) == (State.PENDING, 1)


async def test_a_pause_by_another_process_is_noticed_and_so_is_its_end(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver), to(receiver, "dwh")) as bench:
        command = SqliteStore.visit(bench.path)
        await command.pause("bot", act())
        await until(lambda: bench.dispatcher.health()["bot"] is Health.PAUSED)
        await bench.keep([1])
        await bench.until_attempted(1)
        assert [each.delivery.target for each in bench.attempted] == ["dwh"]
        await command.resume("bot", act())
        await command.close()
        await bench.until_attempted(2)
    assert {each.delivery.target for each in bench.attempted} == {"bot", "dwh"}


async def test_a_target_that_comes_with_a_reload_is_paused_from_the_start(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, "dwh")) as bench:
        await pause(bench)
        bench.use(to(receiver))
        await bench.keep([1])
        await bench.dispatcher.stop(SECOND)
        record = await bench.delivery(1)
    assert (record.state, record.attempt) == (State.PENDING, 0)


async def test_an_open_circuit_goes_on_being_probed_after_a_pause(tmp_path: Path, receivers: Start) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    async with Bench(tmp_path, to(receiver, breaker_failures=1, retry=every(20))) as bench:
        await bench.keep([1, 2, 3])
        await bench.until(lambda: bench.dispatcher.health()["bot"] is Health.OPEN)
        await pause(bench)
        well = True
        await resume(bench)
        await bench.until_none_pending()
        assert bench.dispatcher.health() == {"bot": Health.OK}


async def test_a_probe_that_a_pause_took_back_is_made_up_for(tmp_path: Path, receivers: Start) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    slowly = to(receiver, breaker_failures=1, retry=every(1), rate=5.0)
    async with Bench(tmp_path, slowly) as bench:
        await bench.keep([1])
        await bench.until(lambda: bench.dispatcher.health()["bot"] is Health.PROBING)  # it waits for its slot
        await pause(bench)
        well = True
        await resume(bench)
        await bench.until_none_pending()


# ---- what is reported to the store


async def conditions(bench: Bench) -> dict[str, HealthReport | None]:
    return {name: each.condition for name, each in (await bench.store.status()).targets.items()}


async def test_it_is_reported_which_circuits_are_open_since_when_and_why(tmp_path: Path, receivers: Start) -> None:
    well, failing = await receivers(), await receivers(lambda _request: 503)
    patient = to(failing, "crm", breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, to(well), patient) as bench:
        await bench.keep([1])
        await bench.until_reported("crm", Health.OPEN)
        seen = await conditions(bench)
    assert (seen["bot"].health, seen["bot"].error) == ("ok", "")
    assert (seen["crm"].health, seen["crm"].error) == ("open", "5xx 503")
    assert seen["crm"].since <= seen["crm"].as_of


async def test_what_a_dead_daemon_said_is_replaced_at_the_start(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    store = SqliteStore.open(tmp_path / "relay.db", now=act().at, emit=lambda _: None, failed=lambda: None)
    held = HealthReport(health=Health.OPEN, since=act().at, as_of=act().at, error="5xx 503")
    await store.publish_health({"bot": held, "gone": held})
    await store.close()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_reported("bot", Health.OK)
        assert list(await conditions(bench)) == ["bot"]


async def opened(bench: Bench, number: int) -> HealthReport:
    """What is reported once the attempt of a new event has opened the circuit."""
    await bench.keep([number])
    await bench.until_reported("bot", Health.OPEN)
    report = (await conditions(bench))["bot"]
    assert report
    return report


async def test_a_target_that_is_down_over_a_restart_is_so_since_it_first_was(tmp_path: Path, receivers: Start) -> None:
    failing = await receivers(lambda _request: 503)
    bot = to(failing, breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, bot) as bench:
        first = await opened(bench, 1)
    async with Bench(tmp_path, bot) as bench:
        await bench.until_reported("bot", Health.OK)  # nothing has failed yet in this process
        again = await opened(bench, 2)
    assert again.since == first.since < again.as_of


async def test_one_that_was_delivered_to_taken_out_and_put_back_is_down_since_then(
    tmp_path: Path, receivers: Start
) -> None:
    statuses = [503, 200, 503]
    bot = to(await receivers(lambda _request: statuses.pop(0)), breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, bot) as bench:
        first = await opened(bench, 1)
    async with Bench(tmp_path, bot) as bench:
        await bench.keep([2])
        await bench.until_attempted(1)
        bench.use()
        [(_lane, leaving)] = bench.dispatcher._leaving.values()
        await leaving
        bench.use(bot)
        again = await opened(bench, 3)
    assert again.since > first.since


async def test_a_target_that_was_delivered_to_after_a_restart_is_down_anew(tmp_path: Path, receivers: Start) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    bot = to(receiver, breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, bot) as bench:
        first = await opened(bench, 1)
    async with Bench(tmp_path, bot) as bench:
        well = True
        await bench.keep([2])
        await bench.until_attempted(1)
        well = False
        again = await opened(bench, 3)
    assert first.since < again.since


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_reported("bot", Health.OK)
        before = (await conditions(bench))["bot"]
        await bench.keep([1])
        await bench.until_attempted(1)
        await bench.dispatcher._report()
        assert (await conditions(bench))["bot"] == before
