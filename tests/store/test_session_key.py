"""The key of the console's cookies: made once, the same for every process of a store, and read by nobody else."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.errors import CorruptError, StoreBusy
from relay.store import open as stores
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from relay.store.session_key import BYTES
from relay.store.sqlite.store import SqliteStore
from relay.store.url import PostgresUrl, SqliteUrl, StoreUrl
from tests.store.conftest import NOON


async def test_all_who_ask_at_once_and_later_get_the_same_key(url: StoreUrl) -> None:
    keys = await asyncio.gather(*(stores.session_key(url).read() for _ in range(8)))
    assert len({*keys, await stores.session_key(url).read()}) == 1
    assert len(keys[0]) == BYTES and len(set(keys[0])) > 8


@asynccontextmanager
async def operating(url: StoreUrl) -> AsyncIterator[Archive]:
    """The store as a command opens it."""
    if isinstance(url, SqliteUrl):
        await SqliteStore.open(url.path, now=NOON, emit=lambda _signal: None, failed=lambda: None).close()
    async with stores.visiting(url) as store:
        yield store


async def test_sessions_that_are_ended_have_another_key_in_every_process(url: StoreUrl) -> None:
    other = stores.session_key(url)
    before = await other.read()
    act = AuditEntry(id="1", at=NOON, who="ann@host", command="access end-sessions")
    async with operating(url) as store:
        for _ in range(2):
            await store.end_sessions(act)
        [entry] = await store.audit(limit=9)
    assert (entry.command, entry.count) == ("access end-sessions", 1)
    after = await other.read()
    assert after != before and len(after) == BYTES
    assert await stores.session_key(url).read() == after


async def test_where_nobody_has_logged_in_there_is_nothing_to_end(tmp_path: Path) -> None:
    url = SqliteUrl(tmp_path / "relay.db")
    async with operating(url) as store:
        await store.end_sessions(AuditEntry(id="1", at=NOON, who="ann@host", command="access end-sessions"))
    assert not (tmp_path / "relay.db.session-key").exists()


async def test_another_key_is_its_owners_alone_too(tmp_path: Path) -> None:
    url = SqliteUrl(tmp_path / "relay.db")
    await stores.session_key(url).read()
    if os.geteuid() == 0:
        os.chown(key_file(tmp_path), 12345, 12345)
    before = key_file(tmp_path).stat()
    async with operating(url) as store:
        await store.end_sessions(AuditEntry(id="1", at=NOON, who="ann@host", command="access end-sessions"))
    after = key_file(tmp_path).stat()
    assert after.st_ino != before.st_ino
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o600)


def key_file(folder: Path) -> Path:
    [found] = folder.glob("*session-key*")
    return found


async def test_the_file_is_its_owners_alone_also_after_a_restore(tmp_path: Path) -> None:
    key = stores.session_key(SqliteUrl(tmp_path / "relay.db"))
    before = await key.read()
    key_file(tmp_path).chmod(0o644)
    assert await key.read() == before
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600


async def test_a_file_that_is_no_key_says_what_to_do_and_stays(tmp_path: Path) -> None:
    key = stores.session_key(SqliteUrl(tmp_path / "relay.db"))
    (tmp_path / "relay.db.session-key").write_text("short")
    with pytest.raises(CorruptError, match="remove it, then everybody has to log in again"):
        await key.read()
    assert key_file(tmp_path).read_text() == "short"


async def test_a_folder_or_a_server_that_is_not_there_is_busy(tmp_path: Path) -> None:
    away = PostgresUrl(f"postgresql://nobody@127.0.0.1:1/{'x'}", shown="postgresql://…")
    for url in (SqliteUrl(tmp_path / "nowhere/relay.db"), away):
        with pytest.raises(StoreBusy):
            await stores.session_key(url).read()
