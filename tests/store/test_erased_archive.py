"""The data of a person is erased in archives of purged webhooks, too."""

import errno
import gzip
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from relay.amocrm.traces import Finder, Trace
from relay.errors import ArchiveFailed
from relay.model import State
from relay.model.erasure import Ref
from relay.store.archive import ArchiveFolder
from relay.store.erased_archive import erase_archive
from relay.store.erasure_plan import Scope
from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord, WebhookRecord
from tests.store.conftest import MINUTE, NOON
from tests.store.test_erasure import FORD, NAME, ZAPHOD, arrived

SCOPE = Scope(refs=frozenset({Ref("contacts", "777")}))
FINDER = Finder({Trace("name", NAME.casefold())})


def record(number: int, *people: dict, detail: str = "") -> WebhookRecord:
    webhook, routed = arrived(number, contacts={"add": [*people]})
    attempt = AttemptRecord(
        number=1, started_at=NOON, took=MINUTE, verdict="dead", reason="5xx", status=500, detail=detail
    )
    delivery = DeliveryRecord(
        event_id="e", entity="contacts", action="add", entity_id="7", received_at=NOON, target="bot", routes=(),
        state=State.DEAD, claimed=False, attempt=1, replays=0, due_at=None, settled_at=NOON, why=detail,
        attempts=(attempt,),
    )  # fmt: skip
    events = [EventRecord(id=each.event.id, payload=each.payload, deliveries=(delivery,)) for each in routed]
    return WebhookRecord(webhook=webhook, events=tuple(events))


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    for day in (29, 30):
        archive = ArchiveFolder(tmp_path / "archive", now=lambda day=day: datetime(2026, 11, day, tzinfo=UTC))
        await archive.add([record(day, ZAPHOD, FORD, detail=f"no {NAME}"), record(day + 100, FORD)])
        await archive.add([record(day + 200, FORD)])
    return tmp_path / "archive"


def content(folder: Path) -> list[bytes]:
    return [gzip.decompress(file.read_bytes()) for file in sorted(folder.iterdir())]


def modes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in sorted(folder.iterdir())}


async def test_of_an_archive_that_persons_part_goes_and_all_else_stays(folder: Path) -> None:
    before = [each.splitlines() for each in content(folder)]
    assert await erase_archive(folder, SCOPE, FINDER) == 2
    after = [each.splitlines() for each in content(folder)]
    assert b"Zaphod" not in b"".join(content(folder))
    assert [each[1:] for each in after] == [each[1:] for each in before]
    for lines in after:
        line = orjson.loads(lines[0])
        assert [each["event"]["data"] for each in line["events"]] == [{"id": 777}, {"id": 778, "name": "Ford Prefect"}]
        assert "Ford" in line["webhook"]["body"]
    assert modes(folder) == {"2026-11-29.ndjson.gz": 0o600, "2026-11-30.ndjson.gz": 0o600}
    assert await erase_archive(folder, SCOPE, FINDER) == 0


async def test_a_dry_run_of_an_archive_counts_alone(folder: Path) -> None:
    before = content(folder)
    assert await erase_archive(folder, SCOPE, FINDER, dry_run=True) == 2
    assert content(folder) == before


async def test_an_erasure_of_an_archive_that_was_killed_is_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(folder)
    with monkeypatch.context() as broken:
        broken.setattr("relay.store.erased_archive.os.fsync", _killed)
        with pytest.raises(Killed):
            await erase_archive(folder, SCOPE, FINDER)
    assert content(folder)[0] == before[0], "the old file is there until the new one is on disk"
    assert await erase_archive(folder, SCOPE, FINDER) == 2
    assert [*modes(folder)] == ["2026-11-29.ndjson.gz", "2026-11-30.ndjson.gz"]
    assert b"Zaphod" not in b"".join(content(folder))


async def test_what_is_damaged_is_named_and_the_rest_is_erased(folder: Path) -> None:
    (folder / "2026-11-28.ndjson.gz").write_bytes((folder / "2026-11-29.ndjson.gz").read_bytes()[:-20])
    (folder / "2026-11-27.ndjson.gz").write_bytes(gzip.compress(b"of 777, and no JSON\n"))
    with pytest.raises(ArchiveFailed, match=r"^[^\n]*2026-11-27[^\n]* is damaged[^\n]*2026-11-28[^\n]* is damaged"):
        await erase_archive(folder, SCOPE, FINDER)
    assert all(b"Zaphod" not in gzip.decompress((folder / f"2026-11-{day}.ndjson.gz").read_bytes()) for day in (29, 30))


async def test_without_room_for_it_the_old_file_stays_and_one_line_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(folder)
    monkeypatch.setattr("relay.store.erased_archive.os.fsync", _full)
    with pytest.raises(ArchiveFailed, match=r"^[^\n]*cannot write [^\n]*2026-11-29[^\n]*: No space left on device"):
        await erase_archive(folder, SCOPE, FINDER)
    assert content(folder) == before, "nor is there half a new one"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_stays_its_owners(folder: Path) -> None:
    file = folder / "2026-11-30.ndjson.gz"
    os.chown(file, 10001, 10002)
    await erase_archive(folder, SCOPE, FINDER)
    assert (file.stat().st_uid, file.stat().st_gid) == (10001, 10002)


async def test_what_targets_told_of_an_unparsed_webhook_goes_with_it(tmp_path: Path) -> None:
    of_person = record(1, ZAPHOD, detail="unheard of")
    raw = replace(of_person.events[0], id="raw")
    unparsed = replace(of_person, webhook=replace(of_person.webhook, unparsed="not UTF-8"), events=(), raw=raw)
    await ArchiveFolder(tmp_path / "archive").add([unparsed])
    named = Scope(refs=frozenset({Ref("contacts", "777")}), ids=frozenset({of_person.webhook.id}))
    assert await erase_archive(tmp_path / "archive", named, Finder(())) == 1
    [lines] = content(tmp_path / "archive")
    assert b'"detail":"unheard of"' not in lines
    assert b"Zaphod" not in lines


class Killed(BaseException):
    """Nothing that is caught."""


def _killed(_fd: int) -> None:
    raise Killed


def _full(_fd: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
