"""A webhook that the store cannot take at once: 503, never a false 200, and stored in the end."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest
from aiohttp import web

from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.delivery.dispatcher import Dispatcher
from relay.errors import StoreBusy
from relay.http.machine_limits import Limits
from relay.http.post import Post
from relay.ingest import commit, endpoint
from relay.ingest.budget import OVERHEAD, PER_EVENT, Budget
from relay.ingest.commit import Committer
from relay.ingest.decode import Decoder
from relay.ingest.pending import AwaitedWebhook
from relay.model import Source, Webhook
from relay.signals import Committed, EventsNotStored, NotStored, StoredLate, WebhookStored
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.scene import LEAD, TOKEN, WON, Answer, Facts, Scene, form, sqlite_of
from tests.store.conftest import NOON, routed, to, webhook

T = TypeVar("T")

CHANGED = LEAD | {"last_modified": 1764000600}
TRIED_OFTEN = 10  # milliseconds for which the store's writer waits for a lock


class WriteLock:
    """Another connection that holds the database's write lock."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        connection.set_busy_timeout(5_000)
        self.acquire()

    def acquire(self) -> None:
        self._connection.execute("begin immediate")

    def release(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[WriteLock]:
    await sqlite_of(scene.relay)._writer.submit(lambda cursor: cursor.connection.set_busy_timeout(TRIED_OFTEN))
    connection = apsw.Connection(str(scene.relay.settings.store))
    lock = WriteLock(connection)
    try:
        yield lock
    finally:
        lock.release()
        connection.close()


def committer_of(scene: Scene) -> Committer:
    return scene.relay._committer


def signals(facts: Facts, kind: type[T]) -> list[T]:
    return [each for each in facts.signals if isinstance(each, kind)]


async def arrivals(scene: Scene) -> list[str]:
    """Ids of the webhooks, as the store has them in order."""
    sql = "select id from webhooks order by seq"
    return [id_ for (id_,) in await sqlite_of(scene.relay)._read(lambda cursor: list(cursor.execute(sql)))]


async def posted(scene: Scene, *names: str) -> list["asyncio.Task[Answer]"]:
    """Webhooks on their way, one after the other."""
    tasks = []
    for number, name in enumerate(names, 1):
        tasks.append(asyncio.create_task(scene.post(form(LEAD | {"name": name}))))
        await until(lambda number=number: scene.budget.used > number * (OVERHEAD + PER_EVENT))
    return tasks


async def test_a_commit_in_time_is_answered_200(scene: Scene) -> None:
    async with locked(scene) as lock:
        [post] = await posted(scene, "m1")
        await until(lambda: bool(committer_of(scene)._waiting))
        lock.release()
        assert (await post).status == 200
    await until(lambda: scene.targets.accepted("bot") == ["m1"])
    assert not scene.facts.refusals()


async def test_after_its_503_a_webhook_is_stored_delivered_and_counted_once(scene: Scene) -> None:
    async with locked(scene) as lock:
        answer = await scene.post(form(LEAD))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.body["error"].startswith("not committed within 1.5 s: cannot commit now: ")
        assert not await scene.kept()
        lock.release()
        await until(lambda: scene.targets.accepted("bot") == ["m1"])
    assert scene.facts.refusals() == [("crm", "unavailable")]
    assert signals(scene.facts, StoredLate) == [StoredLate(webhooks=1)]
    assert not [each for each in scene.facts.signals if isinstance(each, WebhookStored)]


async def test_there_and_back_and_there_again_within_a_second_are_three_though_they_had_to_wait(scene: Scene) -> None:
    bodies = [form(CHANGED | {"name": name, "status_id": status}) for name, status in (("A", 1), ("B", 2), ("A", 1))]
    async with locked(scene) as lock:
        posts = []
        for number, body in enumerate(bodies, 1):
            posts.append(asyncio.create_task(scene.post(body)))
            await until(lambda number=number: len(committer_of(scene)._waiting) == number)
        lock.release()
        answers = [await each for each in posts]
    assert [(each.status, each.body["deliveries"]) for each in answers] == [(200, 1)] * 3
    await until(lambda: sorted(scene.targets.accepted("bot")) == ["A", "A", "B"])


async def test_a_retry_claims_nothing_at_insert(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    for kind, verb in ((ClaimAtInsert, "keep_many"), (SqliteStore, "keep_many"), (SqliteStore, "keep")):
        name = f"{kind.__name__}.{verb}"

        def noting(store: Any, *what: Any, call: Any = kind.__dict__[verb], name: str = name, **more: Any) -> Any:
            tried.append(name)
            return call(store, *what, **more)

        monkeypatch.setattr(kind, verb, noting)
    async with locked(scene) as lock:
        [post] = await posted(scene, "m1")
        await until(lambda: len(tried) > 4)
        lock.release()
        assert (await post).status == 200
    assert tried[:2] == ["ClaimAtInsert.keep_many", "SqliteStore.keep_many"], "the first try, and what it asks"
    assert set(tried[2:]) == {"SqliteStore.keep"}


async def test_a_retransmission_after_the_503_is_a_duplicate(scene: Scene) -> None:
    async with locked(scene) as lock:
        assert (await scene.post(form(CHANGED))).status == 503
        again = asyncio.create_task(scene.post(form(CHANGED)))  # while the first one waits still
        await until(lambda: len(committer_of(scene)._waiting) == 2)
        lock.release()
        repeated = [await again, await scene.post(form(CHANGED))]
    [kept] = await scene.kept()
    assert [each.status for each in repeated] == [200, 200]
    assert [each.body for each in repeated] == [
        {"webhook": kept.id, "events": 1, "deliveries": 0, "duplicate": True}
    ] * 2
    await until(lambda: scene.targets.accepted("bot") == ["m1"])


async def test_waiting_webhooks_are_stored_in_order_of_arrival(scene: Scene) -> None:
    names = [f"m{number}" for number in range(1, 8)]
    async with locked(scene) as lock:
        posts = await posted(scene, *names)
        lock.release()
        answers = [await post for post in posts]
    assert [each.status for each in answers] == [200] * len(names)
    assert await arrivals(scene) == [each.body["webhook"] for each in answers]


async def test_a_later_webhook_queues_behind_waiting_ones(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.ingest.commit.RETRY_EVERY", 0.5)
    async with locked(scene) as lock:
        [first] = await posted(scene, "m1")
        await asyncio.sleep(0.1)  # it has been tried, and will not be for a while
        lock.release()
        second = await scene.post(form(WON))
        assert [(await first).status, second.status] == [200, 200]
    assert await arrivals(scene) == [(await first).body["webhook"], second.body["webhook"]]


@pytest.mark.parametrize("limits", [Limits(memory=20_000)])
async def test_over_the_budget_the_answer_is_503_at_once(scene: Scene, limits: Limits) -> None:
    async with locked(scene) as lock:
        posts = await posted(scene, "m1", "m2")
        answer = await scene.post(form(LEAD))
        assert (answer.status, "too many" in answer.body["error"]) == (503, True)
        lock.release()
        assert [(await post).status for post in posts] == [200, 200]
    await until(lambda: scene.budget.used == 0)
    assert (await scene.post(form(LEAD))).status == 200


async def test_a_webhook_reserves_memory_after_its_503_until_it_is_stored(scene: Scene) -> None:
    async with locked(scene) as lock:
        assert (await scene.post(form(LEAD))).status == 503
        assert scene.budget.used > len(form(LEAD))
        lock.release()
        await until(lambda: scene.budget.used == 0)


async def test_so_does_one_whose_body_came_after_its_head(scene: Scene) -> None:
    body = form(LEAD)
    async with locked(scene) as lock, scene.connected() as (reader, writer):
        writer.write(f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        writer.write(body)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503 ")
        assert scene.budget.used > len(body)
        lock.release()
        await until(lambda: scene.budget.used == 0)


@pytest.mark.parametrize("pause", [0, 0.05])
async def test_of_a_request_that_is_over_a_waiting_webhook_holds_nothing(pause: float, scene: Scene) -> None:
    def held() -> list[str]:
        gc.collect()
        return [str(type(each)) for each in gc.get_objects() if issubclass(type(each), (Post, web.RequestHandler))]

    before, body = held(), form(LEAD)
    head = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with locked(scene):
        async with scene.connected() as (reader, writer):
            for segment in (head, body) if pause else (head + body,):
                writer.write(segment)
                await asyncio.sleep(pause)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503 ")
            assert len(held()) > len(before)
        await until(lambda: len(held()) <= len(before))
        assert len(committer_of(scene)._waiting) == 1


async def test_a_request_that_is_cancelled_is_not_counted_as_late(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "COMMIT_TIMEOUT", 1.0)
    pending = AwaitedWebhook(
        webhook=webhook(),
        source=Source(name="crm", tokens=()),
        reservation=scene.budget.reservation(),
        stored=asyncio.get_running_loop().create_future(),
    )
    decoder = Decoder(
        committer_of(scene), config=lambda: scene.relay.reloader.config, emit=scene.facts, new_id=lambda: "event-1"
    )
    async with locked(scene) as lock:
        request = asyncio.create_task(decoder.store(pending))
        await until(lambda: bool(committer_of(scene)._waiting))
        request.cancel()
        await asyncio.sleep(1.1)
        assert not pending.late
        lock.release()
        await until(lambda: pending.settled)
    assert not signals(scene.facts, StoredLate)


async def test_stop_retries_waiting_webhooks_once(scene: Scene) -> None:
    async with locked(scene) as lock:
        posts = await posted(scene, "m1", "m2")
        await until(lambda: len(committer_of(scene)._waiting) == 2)
        lock.release()
        await committer_of(scene).stop(timedelta(seconds=5))
        assert [(await post).status for post in posts] == [200, 200]
    assert not signals(scene.facts, NotStored)


async def test_stop_announces_webhooks_that_are_not_stored(scene: Scene) -> None:
    async with locked(scene):
        posts = await posted(scene, "m1", "m2")
        await committer_of(scene).stop(timedelta(seconds=5))
        assert [(await post).status for post in posts] == [503, 503]
    assert signals(scene.facts, NotStored) == [NotStored(webhooks=2)]
    assert not await scene.kept()


async def test_a_webhook_that_is_committed_during_its_retry_is_announced_once(tmp_path: Path) -> None:
    facts, budget = Facts(), Budget(100_000)
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=facts, failed=lambda: None)
    store._connection.set_busy_timeout(TRIED_OFTEN)
    claiming = ClaimAtInsert(store, Dispatcher(store=store, emit=facts, clock=lambda: NOON))
    committer = Committer(store, claiming=claiming, emit=facts, clock=lambda: NOON)
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    lock = WriteLock(connection)
    reservation = budget.reservation()
    reservation.grow(1)
    pending = AwaitedWebhook(
        webhook=webhook(),
        source=Source(name="crm", tokens=()),
        reservation=reservation,
        stored=asyncio.get_running_loop().create_future(),
        routed=[routed(1, to())],
    )
    committer.commit([pending])
    with pytest.raises(StoreBusy):
        await pending.stored
    assert budget.used == 1, "it is retried"
    lock.release()  # and the facts' gate is shut: it is on disk, and the writer does not get to say so
    await until(lambda: any(isinstance(each, Committed) for each in facts.signals))
    stop = asyncio.create_task(committer.stop(timedelta(seconds=5)))
    await asyncio.sleep(0)
    lock.acquire()
    facts.gate.set()
    await stop
    lock.release()
    connection.close()
    await store.close()
    assert signals(facts, StoredLate) == [StoredLate(webhooks=1)]
    assert not signals(facts, NotStored)
    assert budget.used == 0


# ---- what the store cannot take for a fault of ours


async def forbid(scene: Scene, table: str) -> None:
    sql = f"create trigger fault before insert on {table} begin select raise(abort, 'a fault'); end"
    await sqlite_of(scene.relay)._writer.submit(lambda cursor: cursor.execute(sql).get)


async def test_events_that_cannot_be_stored_leave_the_webhook_unparsed(scene: Scene) -> None:
    await forbid(scene, "events")
    answer = await scene.post(form(LEAD))
    [kept] = await scene.kept()
    why = "a fault of the relay: ConstraintError('a fault')"
    assert (answer.status, answer.body) == (200, {"webhook": kept.id, "events": 0, "deliveries": 0, "unparsed": why})
    assert (kept.body, kept.unparsed) == (form(LEAD), why)
    [signal] = [each for each in scene.facts.signals if isinstance(each, WebhookStored)]
    assert (signal.webhook.unparsed, signal.routed, signal.deliveries) == (why, [], 0)
    [fault] = signals(scene.facts, EventsNotStored)
    assert fault.webhook == kept.id
    assert scene.budget.used == 0


async def test_a_webhook_that_cannot_be_stored_unparsed_either_is_503(scene: Scene) -> None:
    await forbid(scene, "webhooks")
    answer = await scene.post(form(LEAD))
    assert (answer.status, "a fault" in answer.body["error"]) == (503, True)
    assert scene.budget.used == 0


async def test_a_claim_at_insert_that_raises_costs_the_claim_and_not_the_webhook(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
    monkeypatch.setattr(ClaimAtInsert, "keep_many", divide_by_zero)
    answers = await asyncio.gather(*(scene.post(form(LEAD | {"name": name})) for name in ("m1", "m2", "m3")))
    assert [(each.status, each.body["deliveries"]) for each in answers] == [(200, 1)] * 3
    await until(lambda: sorted(scene.targets.accepted("bot")) == ["m1", "m2", "m3"])
    assert scene.budget.used == 0
    assert {type(each) for each in faults} == {ZeroDivisionError}


@pytest.mark.parametrize("first", [True, False], ids=["first try", "retry"])
async def test_a_clock_that_is_set_back_after_the_arrival_delays_no_delivery(
    first: bool, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of an arrival may be a millisecond old, from before the clock was set."""
    monkeypatch.setattr(endpoint, "perf_counter", lambda: 7.0)
    assert (await scene.post(form(LEAD | {"name": "m1"}))).status == 200
    store = sqlite_of(scene.relay)
    monkeypatch.setattr(store.clock, "_wall", lambda: time.time() - 3600)
    store.clock()
    if first:
        monkeypatch.setattr(Dispatcher, "lease", lambda _dispatcher, routed: routed)
    else:
        monkeypatch.setattr(ClaimAtInsert, "keep_many", divide_by_zero)
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    assert (await scene.post(form(LEAD | {"name": "m2"}))).status == 200
    await until(lambda: scene.targets.accepted("bot") == ["m1", "m2"])


async def test_a_store_that_raises_over_one_webhook_keeps_the_others_and_that_one_unparsed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keep_many` fails for the batch, `keep` for the one; without its events it can be stored."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    keep = SqliteStore.keep

    def fail_with_events(store: SqliteStore, webhook: Webhook, routed: Any, **windows: Any) -> Any:
        return divide_by_zero() if routed and b"bad" in webhook.body else keep(store, webhook, routed, **windows)

    monkeypatch.setattr(SqliteStore, "keep_many", divide_by_zero)
    monkeypatch.setattr(SqliteStore, "keep", fail_with_events)
    answers = await asyncio.gather(*(scene.post(form(LEAD | {"name": name})) for name in ("m1", "bad", "m3")))
    assert [(each.status, each.body["events"]) for each in answers] == [(200, 1), (200, 0), (200, 1)]
    assert answers[1].body["unparsed"] == "a fault of the relay: ZeroDivisionError()"
    assert {each.body for each in await scene.kept()} == {form(LEAD | {"name": name}) for name in ("m1", "bad", "m3")}
    await until(lambda: sorted(scene.targets.accepted("bot")) == ["m1", "m3"])
    assert scene.budget.used == 0


async def test_a_store_that_raises_whatever_it_is_given_is_503_and_gives_the_memory_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    monkeypatch.setattr(SqliteStore, "keep_many", divide_by_zero)
    monkeypatch.setattr(SqliteStore, "keep", divide_by_zero)
    answers = await asyncio.gather(*(scene.post(form(LEAD | {"name": name})) for name in ("m1", "m2")))
    assert [each.status for each in answers] == [503, 503]
    assert scene.budget.used == 0


async def test_a_signal_that_raises_over_one_webhook_costs_neither_it_nor_the_others_of_its_commit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keep_many` replies an error for the first of three."""
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
    keep_many = ClaimAtInsert.keep_many

    def fail_over_first(claiming: ClaimAtInsert, requests: Any, on_replies: Any) -> None:
        assert len(requests) == 3
        keep_many(claiming, requests[1:], lambda replies: on_replies([ZeroDivisionError(), *replies]))

    def raise_over_it(signal: Any) -> None:
        if isinstance(signal, EventsNotStored):
            raise KeyError
        scene.facts(signal)

    monkeypatch.setattr(ClaimAtInsert, "keep_many", fail_over_first)
    monkeypatch.setattr(committer_of(scene), "_emit", raise_over_it)
    pending = [
        AwaitedWebhook(
            webhook=webhook(number, unparsed="a reason"),
            source=Source(name="crm", tokens=()),
            reservation=scene.budget.reservation(),
            stored=asyncio.get_running_loop().create_future(),
        )
        for number in range(3)
    ]
    committer_of(scene).commit(pending)
    await asyncio.gather(*(each.stored for each in pending))
    assert {each.id for each in await scene.relay.store.unparsed(limit=100)} == {each.webhook.id for each in pending}
    assert [type(each) for each in faults] == [KeyError]


def divide_by_zero(*_arguments: object, **_more: object) -> None:
    raise ZeroDivisionError
