"""`store.sqlite.integrity`: names what is corrupt or missing, not what is sound, and changes nothing by looking."""

import os
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreError, StoreFailed, StoreUnsafe
from relay.store.sqlite import integrity
from relay.store.sqlite.backup import backup
from relay.store.sqlite.integrity import verify
from tests.store.conftest import NOON, act, open_sqlite, routed, to, webhook
from tests.store.damage import flip, lose_id, roll_back


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with five webhooks, an event each."""
    store = open_sqlite(tmp_path, NOON)
    for number in range(1, 6):
        body, payload = b"body-%d" % number, b'{"name":"payload-%d"}' % number
        await store.keep(replace(webhook(number), body=body), [replace(routed(number, to()), payload=payload)])
    await store.close()
    return tmp_path / "relay.db"


async def test_a_sound_store_is_sound_beside_its_daemon_too(path: Path) -> None:
    store = open_sqlite(path.parent, NOON)
    for number in range(6, 9):
        await store.keep(webhook(number), [routed(number, to())])
        report = verify(path)
        assert report.sound
        assert {name: (each.rows, each.unmarked) for name, each in report.contents.items()} == {
            "webhooks": (number, 0),
            "events": (number, 0),
        }
    await store.close()


async def test_each_thing_that_a_disk_has_changed_is_named(path: Path) -> None:
    for text in (b"body-2", b"payload-4", b"payload-5"):
        flip(path, text)
    report = verify(path)
    assert (report.sound, report.structure) == (False, ())
    assert report.contents["webhooks"].corrupt == ("webhook-0002",)
    assert report.contents["events"].corrupt == ("event-0004", "event-0005")


async def test_an_event_that_lost_its_id_is_named_by_its_row(path: Path) -> None:
    lose_id(path, "event-0003")
    assert verify(path).contents["events"].corrupt == ("row 3",)


async def test_it_pages_so_that_no_read_is_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(path, b"payload-4")
    monkeypatch.setattr(integrity, "LONGEST_READ", 0.0)  # a transaction for each row
    report = verify(path)
    assert (report.contents["events"].rows, report.contents["events"].corrupt) == (5, ("event-0004",))


async def test_rows_without_a_checksum_are_counted(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("update events set checksum = null where seq < 3")
    connection.close()
    report = verify(path)
    assert (report.sound, report.contents["events"].unmarked) == (True, 2)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("insert into attempts values (99, 'bot', 1, 0, 0, '', '', 200, '', 0)", "attempts that belong to none of"),
        ("update deliveries set base = x''", "deliveries with a value that is no number"),
        (
            "pragma writable_schema = on; delete from sqlite_schema where name = 'events_webhook'",
            "never used",
        ),
    ],
)
async def test_what_sqlite_finds_wrong_is_told(path: Path, sql: str, says: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()
    report = verify(path)
    assert not report.sound
    assert any(says in fault for fault in report.structure), report.structure


def test_any_page_that_is_overwritten_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for page in range(len(whole) // 4096):
        path.write_bytes(whole[: page * 4096] + b"\x5a" * 4096 + whole[(page + 1) * 4096 :])
        try:
            assert not verify(path).sound, page
        except StoreError as error:
            assert "\n" not in str(error)


async def test_what_is_missing_is_told_before_and_after_it_was_noticed(path: Path) -> None:
    before = (path.parent / "relay.db").read_bytes()
    store = open_sqlite(path.parent, NOON)
    await store.keep(webhook(6), [])
    await store.close()
    roll_back(path, before)
    assert [loss.count for loss in verify(path).losses] == [1]
    store = open_sqlite(path.parent, NOON)
    assert [loss.count for loss in verify(path).losses] == [1]
    await store.accept_losses(act())
    assert verify(path).sound
    await store.close()


async def test_a_wal_is_left_as_it_is(path: Path) -> None:
    store = open_sqlite(path.parent, NOON)
    await store.keep(webhook(6), [])
    image = path.parent / "image"
    image.mkdir()
    for name in ("relay.db", "relay.db-wal"):
        (image / name).write_bytes((path.parent / name).read_bytes())
    await store.close()
    database, wal = (image / "relay.db").read_bytes(), (image / "relay.db-wal").read_bytes()
    assert verify(image / "relay.db").contents["webhooks"].rows == 6
    assert ((image / "relay.db").read_bytes(), (image / "relay.db-wal").read_bytes()) == (database, wal)


def test_what_is_no_store_is_told_in_a_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no store at"):
        verify(tmp_path / "nowhere.db")
    os.truncate(path, 0)
    with pytest.raises(StoreUnsafe, match="is empty, but 5 webhooks were kept"):
        verify(path)
    path.write_text("no database, " * 1000)
    with pytest.raises(StoreFailed, match="cannot be read"):
        verify(path)


async def test_a_restored_copy_is_sound_and_says_what_was_damaged_before_it_was_made(path: Path) -> None:
    flip(path, b"payload-4")
    copy = path.parent / "copy.db"
    assert backup(path, copy).corrupt == ("event-0004",)
    assert verify(copy).contents["events"].corrupt == ("event-0004",)
