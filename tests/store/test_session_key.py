"""The key of the console's cookies: made once, the same for every process of a store, and read by nobody else."""

import asyncio
import stat
from pathlib import Path

import pytest

from relay.errors import CorruptError, StoreBusy
from relay.store import open as stores
from relay.store.session_key import BYTES
from relay.store.url import PostgresUrl, SqliteUrl, StoreUrl


async def test_all_who_ask_at_once_and_later_get_the_same_key(url: StoreUrl) -> None:
    keys = await asyncio.gather(*(stores.session_key(url).read() for _ in range(8)))
    assert len({*keys, await stores.session_key(url).read()}) == 1
    assert len(keys[0]) == BYTES and len(set(keys[0])) > 8


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
