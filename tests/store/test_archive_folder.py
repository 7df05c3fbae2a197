"""An archive: complete gzip members, one file a day, whatever the process that wrote it died of."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from relay.errors import ArchiveFailed
from relay.model import Retention, Webhook
from relay.store import archive
from relay.store.archive import ArchiveFolder, append, complete
from relay.store.contract import Archive
from relay.store.records import EventRecord, WebhookRecord
from tests.store.conftest import NOON, deliver, routed, to, webhook


def record(number: int = 1, *, body: bytes = b"leads[add][0][id]=7") -> WebhookRecord:
    kept = Webhook(id=f"webhook-{number:04}", source="crm", received_at=NOON, body=body)
    event = EventRecord(id=f"event-{number:04}", payload=routed(number).payload, deliveries=())
    return WebhookRecord(webhook=kept, events=(event,))


def folder(path: Path, day: int = 30) -> ArchiveFolder:
    return ArchiveFolder(path / "archive", now=lambda: datetime(2026, 11, day, 23, 30, tzinfo=UTC))


def lines(path: Path, name: str = "2026-11-30.ndjson.gz") -> list[dict]:
    with gzip.open(path / "archive" / name) as file:
        return [orjson.loads(line) for line in file]


async def test_webhooks_are_lines_of_the_file_of_their_day(tmp_path: Path) -> None:
    await folder(tmp_path).add([record(1), record(2)])
    await folder(tmp_path).add([record(3, body=b"\xff")])
    await folder(tmp_path, 29).add([record(4)])
    found = lines(tmp_path)
    assert [each["webhook"]["id"] for each in found] == ["webhook-0001", "webhook-0002", "webhook-0003"]
    assert found[0]["webhook"]["body"] == "leads[add][0][id]=7"
    assert (found[2]["webhook"]["body"], found[2]["webhook"]["body_base64"]) == (None, "/w==")
    assert found[0]["events"][0]["event"] == orjson.loads(routed(1).payload)
    assert [each["webhook"]["id"] for each in lines(tmp_path, "2026-11-29.ndjson.gz")] == ["webhook-0004"]


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    await folder(tmp_path).add([record()])
    assert (tmp_path / "archive").stat().st_mode & 0o777 == 0o700
    assert [each.stat().st_mode & 0o777 for each in (tmp_path / "archive").iterdir()] == [0o600], "and no mark is left"


@pytest.mark.parametrize("cut", [1, 9, 25])
async def test_what_a_killed_process_left_of_a_member_is_cut_off(tmp_path: Path, cut: int) -> None:
    await folder(tmp_path).add([record(1)])
    file = tmp_path / "archive" / "2026-11-30.ndjson.gz"
    whole = file.stat().st_size
    with file.open("ab") as torn:
        torn.write(gzip.compress(b'{"torn":1}\n' * 9)[:cut])
    file.with_name(file.name + archive.MARK).touch()
    await folder(tmp_path).add([record(2)])
    assert complete(file) == file.stat().st_size > whole
    assert [each["webhook"]["id"] for each in lines(tmp_path)] == ["webhook-0001", "webhook-0002"]


async def test_a_complete_member_beside_a_mark_stays(tmp_path: Path) -> None:
    await folder(tmp_path).add([record(1)])
    file = tmp_path / "archive" / "2026-11-30.ndjson.gz"
    file.with_name(file.name + archive.MARK).touch()
    await folder(tmp_path).add([record(2)])
    assert [each["webhook"]["id"] for each in lines(tmp_path)] == ["webhook-0001", "webhook-0002"]


KILLED = """
import gzip, os, signal, sys
from pathlib import Path
from relay.store import archive
file, at = Path(sys.argv[1]), int(sys.argv[2])
def write(to, member):
    os.write(to, member[:at])
    os.kill(os.getpid(), signal.SIGKILL)
archive._write = write
archive.append(file, gzip.compress(b"lost"))
"""


@pytest.mark.parametrize("at", [0, 5, 24])
def test_a_process_that_is_killed_while_it_writes_leaves_what_was_there(tmp_path: Path, at: int) -> None:
    file = tmp_path / "2026-11-30.ndjson.gz"
    append(file, gzip.compress(b"first\n"))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file), str(at)], check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    append(file, gzip.compress(b"second\n"))
    left = gzip.decompress(file.read_bytes())
    assert left in (b"first\nsecond\n", b"first\nlostsecond\n")
    assert (b"lost" in left) == (at >= len(gzip.compress(b"lost")))


async def test_a_disk_that_is_full_leaves_the_file_as_it_was_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await folder(tmp_path).add([record(1)])

    def write(to: int, member: bytes) -> None:
        os.write(to, member[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archive, "_write", write)
        with pytest.raises(ArchiveFailed, match=r"nothing is purged: cannot write .*ndjson.gz: No space left"):
            await folder(tmp_path).add([record(2)])
    file = tmp_path / "archive" / "2026-11-30.ndjson.gz"
    assert complete(file) == file.stat().st_size
    await folder(tmp_path).add([record(3)])
    assert [each["webhook"]["id"] for each in lines(tmp_path)] == ["webhook-0001", "webhook-0003"]


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    gone = ArchiveFolder(tmp_path / "no" / "such")
    with pytest.raises(ArchiveFailed, match=r"nothing is purged: .*no/such"):
        await gone.add([record()])


async def test_a_large_member_is_checked_block_by_block(tmp_path: Path) -> None:
    await folder(tmp_path).add([record(1, body=os.urandom(3_000_000)), record(2, body=b"a" * 9_000_000)])
    file = tmp_path / "archive" / "2026-11-30.ndjson.gz"
    assert complete(file) == file.stat().st_size
    assert webhook(1).id == lines(tmp_path)[0]["webhook"]["id"]


# ---- before a purge, on every store

DAY = timedelta(days=1)
OLD = Retention(delivered=DAY, dead=DAY, unrouted=DAY, unparsed=DAY)
LATER = NOON + 2 * DAY


async def fill(store: Archive) -> None:
    """A webhook that was delivered, one that no route took, one that is unparsed, and one that is pending."""
    [claimed] = await store.keep(webhook(1), [routed(1, to(lease=DAY))])
    await deliver(store, claimed)
    await store.keep(webhook(2), [routed(2), routed(3)])
    await store.keep(webhook(3, unparsed="not UTF-8"), [])
    await store.keep(webhook(4), [routed(4, to())])


async def test_what_a_purge_deletes_is_in_the_archive_with_all_that_came_of_it(store: Archive, tmp_path: Path) -> None:
    await fill(store)
    counts = await store.purge(OLD, now=LATER, archive=folder(tmp_path))
    assert counts == {"delivered": 1, "unrouted": 1, "unparsed": 1}
    first, second, third = lines(tmp_path)
    assert [each["webhook"]["id"] for each in (first, second, third)] == [
        "webhook-0001",
        "webhook-0002",
        "webhook-0003",
    ]
    [event] = first["events"]
    assert event["event"] == orjson.loads(routed(1).payload)
    [delivery] = event["deliveries"]
    assert (delivery["target"], delivery["state"]) == ("bot", "delivered")
    assert [(each["number"], each["status"]) for each in delivery["attempts"]] == [(1, 200)]
    assert [each["id"] for each in second["events"]] == ["event-0002", "event-0003"]
    assert (third["webhook"]["unparsed"], third["webhook"]["body"]) == ("not UTF-8", "leads[add][0][id]=7")
    assert await store.purge(OLD, now=LATER, archive=folder(tmp_path)) == {}
    assert len(lines(tmp_path)) == 3


async def test_nothing_is_deleted_that_cannot_be_archived(store: Archive, tmp_path: Path) -> None:
    await fill(store)
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(ArchiveFailed, match="nothing is purged"):
        await store.purge(OLD, now=LATER, archive=folder(tmp_path))
    assert [await store.show(f"webhook-000{number}") is not None for number in (1, 2, 3, 4)] == [True] * 4
    (tmp_path / "archive").unlink()
    assert sum((await store.purge(OLD, now=LATER, archive=folder(tmp_path))).values()) == 3


async def test_what_was_archived_by_a_purge_that_died_is_deleted_by_the_next_one_and_is_there_twice(
    store: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store)
    add = ArchiveFolder.add

    async def die(archive_: ArchiveFolder, webhooks: Sequence[WebhookRecord]) -> None:
        await add(archive_, webhooks)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(ArchiveFolder, "add", die)
        with pytest.raises(asyncio.CancelledError):
            await store.purge(OLD, now=LATER, archive=folder(tmp_path))
    assert [await store.show(f"webhook-000{number}") is not None for number in (1, 2, 3)] == [True] * 3
    assert sum((await store.purge(OLD, now=LATER, archive=folder(tmp_path))).values()) == 3
    ids = [each["webhook"]["id"][-1] for each in lines(tmp_path)]
    assert ids == ["1", "2", "3", "1", "2", "3"]


async def test_a_dry_run_archives_nothing(store: Archive, tmp_path: Path) -> None:
    await fill(store)
    assert sum((await store.purge(OLD, now=LATER, archive=folder(tmp_path), dry_run=True)).values()) == 3
    assert not (tmp_path / "archive").exists()


async def test_large_webhooks_are_archived_a_few_at_a_time(
    store: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    add = ArchiveFolder.add

    async def noting(archive_: ArchiveFolder, webhooks: Sequence[WebhookRecord]) -> None:
        batches.append(len(webhooks))
        await add(archive_, webhooks)

    monkeypatch.setattr(ArchiveFolder, "add", noting)
    for number in range(1, 6):
        await store.keep(replace(webhook(number), body=b"%d" % number * 600_000), [])
    await store.purge(OLD, now=LATER, archive=folder(tmp_path))
    assert batches == [2, 2, 1]
    assert len(lines(tmp_path)) == 5
