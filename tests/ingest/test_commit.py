"""A webhook that the store cannot take at once: 503 and never a false 200, but it waits and is kept in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.delivery.dispatcher import Dispatcher
from relay.errors import StoreBusy
from relay.http.limits import Limits
from relay.ingest.budget import BESIDES, PER_EVENT, Budget
from relay.ingest.commit import Committer, Taken, Wanted
from relay.signals import Committed, EventsNotStored, NotStored, StoredLate, WebhookStored
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.scene import LEAD, WON, Answer, Facts, Scene, form
from tests.store.conftest import NOON, routed, to, webhook

CHANGED = LEAD | {"last_modified": 1764000600}
TRIED_OFTEN = 10  # milliseconds for which the store's writer waits for a lock


class Acceptor:
    """The database, which somebody else holds locked until it is opened."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        connection.set_busy_timeout(5_000)
        self.close()

    def close(self) -> None:
        self._connection.execute("begin immediate")

    def open(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[Acceptor]:
    await scene.relay.store._writer.submit(lambda cursor: cursor.connection.set_busy_timeout(TRIED_OFTEN))
    connection = apsw.Connection(str(scene.relay.settings.store))
    door = Acceptor(connection)
    try:
        yield door
    finally:
        door.open()
        connection.close()


def keeper_of(scene: Scene) -> Committer:
    return scene.relay._keeper


def facts_of(scene: Scene, kind: type) -> list[object]:
    return [each for each in scene.facts.signals if isinstance(each, kind)]


async def arrivals(scene: Scene) -> list[str]:
    """Ids of the webhooks, as the store has them in order."""
    sql = "select id from webhooks order by seq"
    return [id_ for (id_,) in await scene.relay.store._read(lambda cursor: list(cursor.execute(sql)))]


async def posted(scene: Scene, *names: str) -> list["asyncio.Task[Answer]"]:
    """Webhooks on their way, one after the other."""
    tasks = []
    for number, name in enumerate(names, 1):
        tasks.append(asyncio.create_task(scene.post(form(LEAD | {"name": name}))))
        await until(lambda number=number: scene.memory.taken > number * (BESIDES + PER_EVENT))
    return tasks


async def test_what_can_be_kept_in_time_is_answered_200(scene: Scene) -> None:
    async with locked(scene) as door:
        [post] = await posted(scene, "m1")
        await until(lambda: bool(keeper_of(scene)._waiting))
        door.open()
        assert (await post).status == 200
    await until(lambda: scene.targets.accepted("bot") == ["m1"])
    assert not scene.facts.refusals()


async def test_what_was_answered_503_is_kept_and_delivered_all_the_same_and_counted_once(scene: Scene) -> None:
    async with locked(scene) as door:
        answer = await scene.post(form(LEAD))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.body["error"].startswith("not committed within 1.5 s: cannot commit now: ")
        assert not await scene.kept()
        door.open()
        await until(lambda: scene.targets.accepted("bot") == ["m1"])
    assert scene.facts.refusals() == [("crm", "unavailable")]
    assert facts_of(scene, StoredLate) == [StoredLate(webhooks=1)]
    assert not [each for each in scene.facts.signals if isinstance(each, WebhookStored)]


async def test_there_and_back_and_there_again_within_a_second_are_three_though_they_had_to_wait(scene: Scene) -> None:
    bodies = [form(CHANGED | {"name": name, "status_id": status}) for name, status in (("A", 1), ("B", 2), ("A", 1))]
    async with locked(scene) as door:
        posts = []
        for number, body in enumerate(bodies, 1):
            posts.append(asyncio.create_task(scene.post(body)))
            await until(lambda number=number: len(keeper_of(scene)._waiting) == number)
        door.open()
        answers = [await each for each in posts]
    assert [(each.status, each.body["deliveries"]) for each in answers] == [(200, 1)] * 3
    await until(lambda: sorted(scene.targets.accepted("bot")) == ["A", "A", "B"])


async def test_when_amocrm_repeats_it_it_is_known(scene: Scene) -> None:
    async with locked(scene) as door:
        assert (await scene.post(form(CHANGED))).status == 503
        again = asyncio.create_task(scene.post(form(CHANGED)))  # while the first one waits still
        await until(lambda: len(keeper_of(scene)._waiting) == 2)
        door.open()
        repeated = [await again, await scene.post(form(CHANGED))]
    [kept] = await scene.kept()
    assert [each.status for each in repeated] == [200, 200]
    assert [each.body for each in repeated] == [
        {"webhook": kept.id, "events": 1, "deliveries": 0, "duplicate": True}
    ] * 2
    await until(lambda: scene.targets.accepted("bot") == ["m1"])


async def test_what_waits_is_kept_in_the_order_of_arrival(scene: Scene) -> None:
    names = [f"m{number}" for number in range(1, 8)]
    async with locked(scene) as door:
        posts = await posted(scene, *names)
        door.open()
        answers = [await post for post in posts]
    assert [each.status for each in answers] == [200] * len(names)
    assert await arrivals(scene) == [each.body["webhook"] for each in answers]


async def test_who_comes_later_goes_behind_those_that_wait(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.ingest.commit.AGAIN", 0.5)
    async with locked(scene) as door:
        [first] = await posted(scene, "m1")
        await asyncio.sleep(0.1)  # it has been tried, and will not be for a while
        door.open()
        second = await scene.post(form(WON))
        assert [(await first).status, second.status] == [200, 200]
    assert await arrivals(scene) == [(await first).body["webhook"], second.body["webhook"]]


@pytest.mark.parametrize("limits", [Limits(memory=20_000)])
async def test_what_would_be_too_much_to_hold_is_503_at_once(scene: Scene, limits: Limits) -> None:
    async with locked(scene) as door:
        posts = await posted(scene, "m1", "m2")
        answer = await scene.post(form(LEAD))
        assert (answer.status, "too many" in answer.body["error"]) == (503, True)
        door.open()
        assert [(await post).status for post in posts] == [200, 200]
    await until(lambda: scene.memory.taken == 0)
    assert (await scene.post(form(LEAD))).status == 200


async def test_what_waits_after_its_503_takes_memory_until_it_is_kept(scene: Scene) -> None:
    async with locked(scene) as door:
        assert (await scene.post(form(LEAD))).status == 503
        assert scene.memory.taken > len(form(LEAD))
        door.open()
        await until(lambda: scene.memory.taken == 0)


async def test_at_the_end_what_waits_is_tried_once_more(scene: Scene) -> None:
    async with locked(scene) as door:
        posts = await posted(scene, "m1", "m2")
        await until(lambda: len(keeper_of(scene)._waiting) == 2)
        door.open()
        await keeper_of(scene).stop(timedelta(seconds=5))
        assert [(await post).status for post in posts] == [200, 200]
    assert not facts_of(scene, NotStored)


async def test_what_cannot_be_kept_then_is_told_as_lost(scene: Scene) -> None:
    async with locked(scene):
        posts = await posted(scene, "m1", "m2")
        await keeper_of(scene).stop(timedelta(seconds=5))
        assert [(await post).status for post in posts] == [503, 503]
    assert facts_of(scene, NotStored) == [NotStored(webhooks=2)]
    assert not await scene.kept()


async def test_what_is_kept_while_it_is_asked_for_once_more_is_told_once(tmp_path: Path) -> None:
    facts, memory = Facts(), Budget(100_000)
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=facts, failed=lambda: None)
    store._connection.set_busy_timeout(TRIED_OFTEN)
    keeper = Committer(store, lanes=Dispatcher(store=store, emit=facts, clock=lambda: NOON), emit=facts)
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    door = Acceptor(connection)
    with memory.place() as place:
        place.take(1)
        taken: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        keeper.keep(Wanted(webhook(), [routed(1, to())], None, place, taken))
        with pytest.raises(StoreBusy):
            await taken
    door.open()  # and the facts' gate is shut: it is on disk, and the writer does not get to say so
    await until(lambda: any(isinstance(each, Committed) for each in facts.signals))
    stop = asyncio.create_task(keeper.stop(timedelta(seconds=5)))
    await asyncio.sleep(0)
    door.close()
    facts.gate.set()
    await stop
    door.open()
    connection.close()
    await store.close()
    said = [each for each in facts.signals if isinstance(each, StoredLate | NotStored)]
    assert said == [StoredLate(webhooks=1)]
    assert (memory.taken, place._holders) == (0, 0)


# ---- what the store cannot take for a fault of ours


async def forbid(scene: Scene, table: str) -> None:
    sql = f"create trigger fault before insert on {table} begin select raise(abort, 'a fault'); end"
    await scene.relay.store._writer.submit(lambda cursor: cursor.execute(sql).get)


async def test_what_a_fault_of_ours_keeps_out_is_kept_as_unparsed_and_answered_so(scene: Scene) -> None:
    await forbid(scene, "events")
    answer = await scene.post(form(LEAD))
    [kept] = await scene.kept()
    why = "a fault of the relay: ConstraintError('a fault')"
    assert (answer.status, answer.body) == (200, {"webhook": kept.id, "events": 0, "deliveries": 0, "unparsed": why})
    assert (kept.body, kept.unparsed) == (form(LEAD), why)
    [signal] = [each for each in scene.facts.signals if isinstance(each, WebhookStored)]
    assert (signal.webhook.unparsed, signal.routed, signal.deliveries) == (why, [], 0)
    assert len(facts_of(scene, EventsNotStored)) == 1
    assert scene.memory.taken == 0


async def test_what_cannot_be_kept_even_so_is_503(scene: Scene) -> None:
    await forbid(scene, "webhooks")
    answer = await scene.post(form(LEAD))
    assert (answer.status, "a fault" in answer.body["error"]) == (503, True)
    assert scene.memory.taken == 0
