"""A payload or a body that the disk has changed: SQLite reads it back as good, the store says that it is corrupt."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from relay.errors import CorruptError, StoreFailed
from relay.model import Dead, Health, Outcome, Reason, State
from relay.store.checksum import checksum, is_corrupt
from relay.store.contract import Archive
from relay.store.question_records import AttemptFilter
from relay.store.records import Filter, HealthReport
from relay.store.sqlite.integrity import verify
from tests.store.conftest import MINUTE, NOON, act, claim, deliver, open_sqlite, routed, to, webhook
from tests.store.damage import flip, flip_at, lose_id
from tests.store.test_questions import refused


@pytest.fixture
async def spoiled(tmp_path: Path) -> Path:
    """Of two webhooks with an event each: a bit of the first one's body is not what it was, and of its event's JSON."""
    store = open_sqlite(tmp_path, NOON)
    for number in (1, 2):
        body = b"leads[add][0][name]=body-%d" % number
        payload = b'{"name":"payload-%d"}' % number
        await store.keep(replace(webhook(number), body=body), [replace(routed(number, to()), payload=payload)])
    await store.keep(replace(webhook(3, unparsed="odd"), body=b"body-3"), [])
    await store.close()
    for text in (b"=body-1", b"payload-1", b"body-3"):
        flip(tmp_path / "relay.db", text)
    return tmp_path


def test_sqlite_itself_sees_nothing(spoiled: Path) -> None:
    connection = apsw.Connection(str(spoiled / "relay.db"))
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_what_is_claimed_says_whether_it_is_damaged(spoiled: Path) -> None:
    store = open_sqlite(spoiled, NOON)
    claimed = await claim(store)
    await store.close()
    assert [(each.event_id, each.corrupt) for each in claimed] == [("event-0001", True), ("event-0002", False)]


async def test_what_is_shown_says_whether_it_is_damaged(spoiled: Path) -> None:
    store = open_sqlite(spoiled, NOON)
    shown = [await store.show(f"webhook-000{number}") for number in (1, 2)]
    listed = await store.events(Filter(), limit=9)
    unparsed = await store.unparsed(limit=9)
    await store.close()
    assert [(record.webhook.corrupt, record.events[0].corrupt) for record in shown if record] == [
        (True, True),
        (False, False),
    ]
    assert [each.corrupt for each in listed] == [True, False]
    assert [each.corrupt for each in unparsed] == [True]


async def test_one_that_is_damaged_does_not_spoil_a_question_about_all(spoiled: Path) -> None:
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.execute("update events set payload = x'ff7b' where id = 'event-0001'")
    connection.close()
    store = open_sqlite(spoiled, NOON)
    found = await store.find(Filter(pipeline_id="3"), limit=9)
    await store.close()
    assert found == []


@pytest.mark.parametrize("content", ["7", "null", "'text'", "cast(x'ff' as text)"])
@pytest.mark.parametrize("sum_", ["checksum", "null"], ids=["checksum", "no checksum"])
async def test_a_payload_that_is_no_bytes_any_more_is_damaged_and_stops_no_other(
    spoiled: Path, content: str, sum_: str
) -> None:
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.pragma("writable_schema", True)  # a disk does not mind what is declared
    connection.execute("update sqlite_schema set sql = replace(sql, 'blob not null', 'blob') where name = 'events'")
    connection.close()
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.execute(f"update events set payload = {content}, checksum = {sum_} where id = 'event-0001'")
    connection.close()
    store = open_sqlite(spoiled, NOON)
    claimed = await claim(store)
    await store.close()
    assert [(each.event_id, each.corrupt) for each in claimed] == [("event-0001", True), ("event-0002", False)]
    assert claimed[0].payload == b""
    assert verify(spoiled / "relay.db").contents["events"].corrupt == ("event-0001",)


@pytest.mark.parametrize("sum_", ["checksum", "null"], ids=["checksum", "no checksum"])
async def test_an_event_that_lost_its_id_is_damaged_and_stops_no_other(spoiled: Path, sum_: str) -> None:
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.execute(f"update events set checksum = {sum_}")
    connection.close()
    lose_id(spoiled / "relay.db", "event-0001")
    store = open_sqlite(spoiled, NOON)
    claimed = await claim(store)
    await store.close()
    assert [(each.event_id, each.corrupt) for each in claimed] == [("", True), ("event-0002", False)]


async def test_a_replay_does_not_mend_it(spoiled: Path) -> None:
    store = open_sqlite(spoiled, NOON)
    [delivery, _] = await claim(store)
    corrupt = Outcome(reason=Reason.CORRUPT, started_at=NOON, took=MINUTE, detail="not what was kept")
    assert await store.settle(delivery, corrupt, Dead("not sent"), now=NOON)
    assert await store.replay(Filter(states=(State.DEAD,)), act()) == 1
    [again] = await claim(store)
    await store.close()
    assert (again.event_id, again.attempt, again.corrupt) == ("event-0001", 2, True)


async def test_what_an_earlier_relay_kept_has_no_checksum_and_is_not_doubted(spoiled: Path) -> None:
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.execute("update events set checksum = null; update webhooks set checksum = null")
    connection.close()
    store = open_sqlite(spoiled, NOON)
    assert [each.corrupt for each in await claim(store)] == [False, False]
    await store.close()


def test_any_other_content_is_damaged() -> None:
    kept = checksum(b"leads")
    assert len(kept) == 16
    assert not is_corrupt(b"leads", kept)
    assert is_corrupt(b"leadz", kept)
    assert is_corrupt(b"", kept)
    assert is_corrupt("leads", kept), "a blob that has become text"
    assert is_corrupt(None, kept)
    assert is_corrupt(None, None), "no bytes were kept at any time"
    assert is_corrupt(b"leads", checksum(b"leads", b"event-1"), b"event-2"), "an id that has become another"


async def test_what_is_damaged_of_a_daemons_report_leaves_the_status_of_the_rest(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    seen = HealthReport(health=Health.OK, since=NOON, as_of=NOON, in_flight=1, slow=frozenset({"event-0001"}))
    await store.publish_health({"bot": seen, "dwh": replace(seen, slow=frozenset({"event-0002"}))})
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    connection.execute("update conditions set slow = '{\"event-0001\"]' where target = 'bot'")
    connection.close()
    targets = (await store.status()).targets
    await store.close()
    assert {name: each.condition.slow for name, each in targets.items() if each.condition} == {"dwh": {"event-0002"}}


@pytest.mark.parametrize(
    "sql",
    [
        "update deliveries set target = x'ff' where event = 1",
        "delete from events where seq = 1",
        "insert into conditions (target, health, since, as_of, error) values ('dwh', 'odd', 1, 1, '')",
        "insert into reports values ('files', x'ff', '{}')",
        "insert into reports values ('files', 1, '{')",
    ],
    ids=["a target", "an event that is gone", "a health", "a time of a report", "a report"],
)
async def test_a_corrupt_row_leaves_the_status_of_the_rest(spoiled: Path, sql: str) -> None:
    store = open_sqlite(spoiled, NOON)
    await store.publish_health(
        {"bot": HealthReport(health=Health.OK, since=NOON, as_of=NOON, in_flight=1, slow=frozenset())}
    )
    await store.close()
    connection = apsw.Connection(str(spoiled / "relay.db"))
    connection.execute(sql)
    connection.close()
    store = open_sqlite(spoiled, NOON)
    status = await store.status()
    await store.close()
    assert (list(status.targets), status.reports) == (["bot"], {})


@pytest.mark.parametrize(
    ("corrupt", "ask"),
    [
        ("update pauses set who = cast(x'ff' as text)", lambda store: store.status()),
        ("update webhooks set source = cast(x'ff' as text)", lambda store: store.show("webhook-0001")),
        ("update deliveries set routes = 'all'", lambda store: store.find(Filter(), limit=9)),
        ("update deliveries set state = 'pendinf'", lambda store: store.find(Filter(), limit=9)),
        ("update events set id = x'ff' where seq = 1", lambda store: store.events(Filter(), limit=9)),
        ("update attempts set took_us = 'soon'", lambda store: store.questions.attempts(AttemptFilter(), limit=9)),
        ("update deliveries set routes = '['", lambda store: store.questions.story("leads", "7", limit=9)),
        ("update events set action = x'ff' where seq = 2", lambda store: store.questions.unrouted_kinds(Filter())),
        ("update refused set last_at = 'soon'", lambda store: store.questions.refused(limit=9)),
        ("update audit set details = '{'", lambda store: store.audit(limit=9)),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_row_that_cannot_be_read_is_one_clear_error(
    tmp_path: Path, corrupt: str, ask: Callable[[Archive], Awaitable[object]]
) -> None:
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(), [routed(1, to()), routed(2), routed(3)])
    await deliver(store, (await claim(store))[0])
    await store.pause("bot", act(command="pause"))
    await store.questions.record_refused([refused(0)])
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    connection.pragma("ignore_check_constraints", True)
    connection.execute(corrupt)
    assert connection.changes()
    connection.close()
    with pytest.raises(CorruptError, match=r"relay.db has a row that cannot be read .*: see `relay verify`"):
        await ask(store)
    await store.close()


async def test_a_corrupt_row_of_the_owner_refuses_the_start_in_one_clear_line(tmp_path: Path) -> None:
    """One bit of a page header, the number of its rows: those that are not there read as null."""
    await open_sqlite(tmp_path, NOON).close()
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        page = connection.execute("select rootpage from sqlite_schema where name = 'relays'").get
    flip_at(tmp_path / "relay.db", (page - 1) * 4096 + 4)
    with pytest.raises(StoreFailed, match=r"relay\.db is corrupt"):
        await open_sqlite(tmp_path, NOON).close()
