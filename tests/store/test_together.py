"""What is written together is the same as what is written one by one: the same answers, the same rows."""

import asyncio
import random
import time
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.model import Dead, Delivered, RetryAt, RoutedEvent, Verdict, Webhook
from relay.store.claim_tokens import Tokens
from relay.store.records import Duplicate, KeepResult
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.sqlite import ingest
from relay.store.sqlite.sql import ANY_SIZE, PREPARED, at_once
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, OK, claim, routed, to, webhook
from tests.store.kind_sqlite_many import replies_of

Asked = tuple[Webhook, list[RoutedEvent], timedelta | None]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    yield opened
    await opened.close()


def many(chance: random.Random, number: int, *, repeats: bool = False) -> list[Asked]:
    """Webhooks without events and with several, unparsed ones, some with a window.

    With `repeats` also ordered deliveries, equal bodies, and ids that come again.
    """
    asked: list[Asked] = []
    planned = [*OWED, *ORDERED] if repeats else OWED
    for at in range(number):
        events = [
            routed(100 * at + n, *chance.choice(planned), lead=chance.randrange(3)) for n in range(chance.randrange(4))
        ]
        body = b"leads[add][0][id]=%d" % (chance.randrange(9) if repeats else at)
        one = replace(webhook(at, unparsed=None if events else "odd"), body=body)
        asked.append((one, events, chance.choice([None, None, MINUTE])))
        if repeats and chance.random() < 0.02:
            earlier, _, within = chance.choice(asked)
            again = [routed(100 * at + 50 + n, *chance.choice(planned)) for n in range(chance.randrange(2))]
            asked.append((replace(earlier, unparsed=None), again, within))
    return asked


LEASE = timedelta(seconds=30)
OWED = [(), (to(),), (to(lease=LEASE), to("dwh")), (to("dwh", lease=LEASE),)]
ORDERED = [(to(key="lead-7", lease=LEASE),), (to(), to("dwh", key="lead-8"))]


WAYS = ("one by one", "in one turn", "many")


async def keep(store: SqliteStore, asked: Sequence[Asked], way: str) -> list[KeepResult]:
    if way == "many":
        requests = [KeepRequest(one, events, None, Windows(window)) for one, events, window in asked]
        return await asyncio.gather(*replies_of(store.keep_many, requests))
    if way == "in one turn":
        return await asyncio.gather(*(store.keep(*each, window=window) for *each, window in asked))
    return [await store.keep(one, events, window=window) for one, events, window in asked]


async def everything(store: SqliteStore) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table that is kept and settled."""
    tables = {"webhooks": "*", "events": "*", "deliveries": "*, claim", "attempts": "*"}
    return {
        table: await store._writer.submit(lambda c, t=table, n=names: list(c.execute(f"select {n} from {t}")))
        for table, names in tables.items()
    }


async def compared(asked: Sequence[Asked], folder: Path) -> tuple[list[KeepResult], int]:
    """What is replied either way, in how many commits together; the rows are the same."""
    ends = []
    for way in WAYS:
        (at := folder / way).mkdir()
        commits: list[object] = []
        store = SqliteStore.open(at / "relay.db", now=NOON, emit=commits.append, failed=lambda: None)
        kept, commits_made = await keep(store, asked, way), len(commits)
        rows = await everything(store)
        ends.append((without_tokens(kept, rows), rows, commits_made))
        await store.close()
    (kept_by_one, rows_by_one, _), *together = ends
    assert [(kept, rows) for kept, rows, _ in together] == [(kept_by_one, rows_by_one)] * 2
    assert len({commits for _, _, commits in together}) == 1
    return kept_by_one, together[0][2]


@pytest.mark.parametrize("seed", range(6))
async def test_webhooks_are_kept_together_as_they_are_one_by_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = many(random.Random(seed), 200)
    together = ingest._keep_together
    groups: list[int] = []

    def note(tokens: Tokens | None, cursor: apsw.Cursor, some: Sequence[KeepRequest]) -> list[KeepResult]:
        groups.append(len(some))
        return together(tokens, cursor, some)

    monkeypatch.setattr(ingest, "_keep_together", note)
    kept, _ = await compared(asked, tmp_path)
    assert groups == [200, 200], "all of them in one group, either way"
    assert sum(len(born) for born in kept if isinstance(born, list)) > 50


@pytest.mark.parametrize("seed", range(12))
async def test_webhooks_that_repeat_others_are_kept_together_as_they_are_one_by_one(seed: int, tmp_path: Path) -> None:
    kept, _ = await compared(many(random.Random(seed), 150, repeats=True), tmp_path)
    assert any(isinstance(each, Duplicate) for each in kept)


@pytest.mark.parametrize("seed", range(6))
async def test_webhooks_with_a_window_find_what_they_repeat_among_those_of_their_batch(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    asked = [
        (replace(webhook(at), body=b"leads[add][0][id]=%d" % chance.randrange(40)), [routed(at, to())], MINUTE)
        for at in range(60)
    ]
    kept, commits = await compared(asked, tmp_path)
    assert any(isinstance(each, Duplicate) for each in kept)
    assert commits == 1


def without_tokens(kept: list[KeepResult], rows: dict[str, list[Any]]) -> list[KeepResult]:
    """Both without their claim tokens, which are those of each other: a batch that is repeated makes new ones."""
    told = {(each.row, each.target): each.token for born in kept if isinstance(born, list) for each in born}
    assert told == {row[:2]: row[-1] for row in rows["deliveries"] if row[-1]}
    rows["deliveries"] = [(*row[:13], *row[14:-1]) for row in rows["deliveries"]]
    return [[replace(each, token=0) for each in born] if isinstance(born, list) else born for born in kept]


VERDICTS: list[Verdict] = [Delivered(), Dead("no"), RetryAt(NOON + MINUTE), RetryAt(NOON + MINUTE, counted=False)]


@pytest.mark.parametrize("seed", range(6))
async def test_attempts_are_settled_together_as_they_are_one_by_one(seed: int, tmp_path: Path) -> None:
    ends = []
    for way in WAYS:
        chance = random.Random(seed)
        (folder := tmp_path / way).mkdir()
        store = SqliteStore.open(folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
        for number in range(90):
            key = chance.choice([None, f"lead-{number % 7}"])
            await store.keep(webhook(number), [routed(number, to(key=key), to("dwh"))])
        claimed = [*await claim(store, limit=80), *await claim(store, "dwh", limit=80)]
        stale = [replace(each, token=each.token + 1_000_000) for each in chance.sample(claimed, 20)]
        told = [(each, chance.choice(VERDICTS)) for each in (*claimed, *stale)]
        chance.shuffle(told)
        outcome = replace(OK, started_at=NOON)
        made = [Settlement(each, outcome, verdict, NOON + MINUTE) for each, verdict in told]
        if way == "many":
            settled = await asyncio.gather(*replies_of(store.settle_many, made))
        elif way == "in one turn":
            settled = await asyncio.gather(*(store.settle(*each[:3], now=each.now) for each in made))
        else:
            settled = [await store.settle(*each[:3], now=each.now) for each in made]
        assert settled.count(False) == len(stale)
        ends.append((settled, await everything(store), await claim(store, limit=80, now=NOON + MINUTE)))
        await store.close()
    assert ends[1:] == ends[:1] * 2


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_kept_and_settled_in_one_batch_goes_in_order(seed: int, tmp_path: Path) -> None:
    """However they are grouped, of one key only the oldest pending one is due."""
    chance = random.Random(seed)
    ends = []
    for together in (True, False):
        (folder := tmp_path / str(together)).mkdir()
        store = SqliteStore.open(folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
        for number in range(6):
            await store.keep(webhook(number), [routed(number, to(key=f"lead-{number % 3}"))])
        claimed = await claim(store)
        chance.seed(seed)
        acts = [partial(store.settle, each, OK, chance.choice(VERDICTS), now=NOON) for each in claimed]
        acts += [
            partial(store.keep, webhook(10 + n), [routed(10 + n, to(key=f"lead-{n % 3}", lease=LEASE))])
            for n in range(5)
        ]
        chance.shuffle(acts)
        futures = [act() for act in acts] if together else [await_each(act) for act in acts]
        for future in futures:
            await future
        due = [each.event_id for each in await claim(store, now=NOON + 2 * MINUTE)]
        ends.append((sorted(due), [row[:4] for row in (await everything(store))["deliveries"]]))
        await store.close()
    assert ends[0] == ends[1]


def await_each(act: Any) -> Any:
    """Begun only when it is awaited."""

    async def later() -> Any:
        return await act()

    return later()


async def test_an_attempt_that_is_told_twice_in_one_batch_counts_once(store: SqliteStore) -> None:
    await store.keep(webhook(), [routed(1, to())])
    [delivery] = await claim(store)
    settled = await asyncio.gather(
        store.settle(delivery, OK, Delivered(), now=NOON), store.settle(delivery, OK, Dead("no"), now=NOON)
    )
    assert settled == [True, False]
    rows = await everything(store)
    assert [row[3] for row in rows["deliveries"]] == ["delivered"]
    assert len(rows["attempts"]) == 1


async def test_nothing_passes_a_write_that_is_submitted_alone(store: SqliteStore) -> None:
    first = store.keep(webhook(1), [routed(1, to())])
    count = store._writer.submit(lambda cursor: cursor.execute("select count(*) from webhooks").get)
    second = store.keep(webhook(2), [routed(2, to())])
    after = store._writer.submit(lambda cursor: cursor.execute("select count(*) from webhooks").get)
    assert await asyncio.gather(first, count, second, after) == [[], 1, [], 2]


async def test_what_one_turn_of_the_loop_asks_for_is_one_commit(tmp_path: Path) -> None:
    commits: list[object] = []
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=commits.append, failed=lambda: None)
    kept = []
    for number in range(4):
        kept.append(store.keep(webhook(number), [routed(number, to())]))
        time.sleep(0.05)  # noqa: ASYNC251  the turn takes long, and the store's thread has time to begin
    await asyncio.gather(*kept)
    await store.close()
    assert len(commits) == 1


async def test_a_row_that_cannot_be_read_does_not_hold_up_the_rest(store: SqliteStore) -> None:
    for number in range(1, 5):
        await store.keep(webhook(number), [routed(number, to())])
    await store._writer.submit(
        lambda cursor: cursor.execute("update deliveries set pending_since = x'00' where event in (1, 2)")
    )
    store._connection.pragma("foreign_keys", False)
    await store._writer.submit(lambda cursor: cursor.execute("delete from events where seq = 1"))
    assert [each.row for each in await claim(store, limit=2)] == []
    assert [each.row for each in await claim(store, limit=2)] == [3, 4]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 16, 17, 63, 64, 65, 200])
def test_rows_are_given_at_once_in_their_order_and_none_is_left_out(number: int) -> None:
    connection = apsw.Connection(":memory:")
    cursor = connection.cursor()
    cursor.execute("create table t (a, b)")
    given = [(each, str(each)) for each in range(number)]
    at_once(cursor, "insert into t values {(?, ?)}", given)
    assert list(cursor.execute("select a, b from t order by rowid")) == given


def test_rows_of_any_small_number_are_one_statement_that_stays_prepared() -> None:
    connection = apsw.Connection(":memory:", statementcachesize=PREPARED)
    cursor = connection.cursor()
    cursor.execute("create table t (a, b)")
    started: list[str] = []

    def note(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
        started.append(sql)
        return True

    for turn in range(2):
        for number in range(1, ANY_SIZE + 1):
            connection.set_exec_trace(note)
            at_once(cursor, "insert into t values {(?, 7)}", [(each,) for each in range(number)])
            connection.set_exec_trace(None)
        assert len(started) == ANY_SIZE * (turn + 1)
    assert connection.cache_stats()["hits"] >= ANY_SIZE


async def test_no_statement_needs_a_file_to_be_undone(store: SqliteStore) -> None:
    """A file system that is full or read-only beside the store must not stop it."""
    setting = await store._writer.submit(lambda cursor: cursor.execute("pragma temp_store").get)
    assert setting == 2  # memory


async def test_a_commit_writes_no_more_pages_for_a_long_history(store: SqliteStore) -> None:
    """An index in no order of time would have each row of a commit change another page."""
    chance = random.Random(7)
    first = await pages_of_a_commit(store, chance, 0)
    await asyncio.gather(*(dated(store, chance, number) for number in range(1_000, 5_000)))
    assert await pages_of_a_commit(store, chance, 6_000) <= first + 5


async def pages_of_a_commit(store: SqliteStore, chance: random.Random, number: int) -> int:
    """The median of many commits of 16 webhooks."""
    seen = []
    for start in range(number, number + 640, 16):
        before = store._writer._wal.pages
        await asyncio.gather(*(dated(store, chance, each) for each in range(start, start + 16)))
        seen.append(store._writer._wal.pages - before)
    return sorted(seen)[len(seen) // 2]


def dated(store: SqliteStore, chance: random.Random, number: int) -> Future[KeepResult]:
    """One that arrives in its turn, of any lead; some are committed late."""
    one = routed(number, to("bot", lease=MINUTE))
    at = 1_795_000_000 + number // 8 - chance.randrange(3)
    event = replace(one.event, data={"id": chance.randrange(10**8), "last_modified": at})
    return store.keep(
        replace(webhook(number), body=b"%d" % number, received_at=NOON + number * timedelta(milliseconds=9)),
        [replace(one, event=event)],
        dated=timedelta(hours=3),
    )
