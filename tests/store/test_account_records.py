"""What processes share of an account: whole or not at all, one holder at a time, on both stores."""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from relay.errors import CorruptError, StoreBusy
from relay.model import Secret
from relay.store import open as stores
from relay.store.account_records import NOTHING, AccountRecord, AccountRecords, Grant, decode, encode
from relay.store.postgres import account_rows
from relay.store.postgres.migrate import scripts
from relay.store.sqlite import account_files
from relay.store.url import PostgresUrl, SqliteUrl, StoreUrl

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def record(generation: int = 1, blocked: str | None = None) -> AccountRecord:
    grant = Grant(
        access=Secret("canary-access"),
        refresh=Secret(f"canary-refresh-{generation}"),
        obtained_at=NOON,
        expires_at=NOON,
        generation=generation,
    )
    return AccountRecord(grant=grant, blocked=blocked)


@pytest.fixture
def records(url: StoreUrl) -> AccountRecords:
    return stores.account_records(url)


async def test_what_is_written_is_read_by_others(url: StoreUrl, records: AccountRecords) -> None:
    assert await records.read("main") == NOTHING
    async with records.held("main") as held:
        assert held.record == NOTHING
        await held.write(record(blocked="403"))
    assert await stores.account_records(url).read("main") == record(blocked="403")
    assert await records.read("other") == NOTHING


async def test_only_one_holds_a_record_and_what_it_wrote_is_seen_by_the_next(records: AccountRecords) -> None:
    async def count() -> None:
        async with records.held("main") as held:
            before = held.record.grant.generation if held.record.grant else 0
            await asyncio.sleep(0.01)
            await held.write(record(before + 1))

    await asyncio.gather(*(count() for _ in range(8)))
    found = await records.read("main")
    assert found.grant
    assert found.grant.generation == 8


async def test_a_reader_does_not_wait_for_a_holder(records: AccountRecords) -> None:
    async with records.held("main"), records.held("other"):
        async with asyncio.timeout(5):
            assert await records.read("main") == NOTHING


async def test_an_error_in_the_block_frees_the_record(records: AccountRecords) -> None:
    with pytest.raises(ZeroDivisionError):
        async with records.held("main"):
            _ = 1 / 0
    async with asyncio.timeout(5), records.held("main") as held:
        assert held.record == NOTHING


async def test_whoever_waits_too_long_gives_up(records: AccountRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (account_files, account_rows):
        monkeypatch.setattr(module, "HELD_WITHIN", 0.2)
    async with records.held("main"):
        with pytest.raises(StoreBusy):
            async with records.held("main"):
                pytest.fail("held twice")


DIES = """
import asyncio, os, pathlib, sys
from relay.store import open as stores

async def hold():
    async with stores.account_records(stores.SqliteUrl(pathlib.Path(sys.argv[1]))).held("main"):
        os._exit(3)

asyncio.run(hold())
"""


async def test_a_process_that_dies_holds_nothing(tmp_path: Path) -> None:
    dying = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, str(tmp_path / "relay.db"))
    assert await dying.wait() == 3
    async with asyncio.timeout(5), stores.account_records(SqliteUrl(tmp_path / "relay.db")).held("main"):
        pass


# ---- of files


async def write(url: StoreUrl, new: AccountRecord) -> None:
    async with stores.account_records(url).held("main") as held:
        await held.write(new)


def test_a_file_is_for_its_owner_alone_and_stands_beside_the_store(tmp_path: Path) -> None:
    (tmp_path / "relay.db.account-main.new").write_text("of a process that ended")
    asyncio.run(write(SqliteUrl(tmp_path / "relay.db"), record()))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"relay.db.account-main.json": 0o600, "relay.db.account-main.lock": 0o600}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"grant": 5, "blocked": null}', '{"grant": {"access": "canary"}}'])
async def test_a_file_that_is_no_record_is_said_with_what_to_do(text: str, tmp_path: Path) -> None:
    (tmp_path / "relay.db.account-main.json").write_text(text)
    with pytest.raises(CorruptError, match="remove it, then grant access again with relay account login") as raised:
        await stores.account_records(SqliteUrl(tmp_path / "relay.db")).read("main")
    assert "canary" not in str(raised.value)


async def test_a_folder_that_is_gone_is_busy_and_says_which(tmp_path: Path) -> None:
    records = stores.account_records(SqliteUrl(tmp_path / "gone" / "relay.db"))
    assert await records.read("main") == NOTHING
    with pytest.raises(StoreBusy, match=r"relay\.db\.account-main\.lock"):
        async with records.held("main"):
            pytest.fail("held")


# ---- of rows


@pytest.fixture
def shared(postgres_dsn: str) -> PostgresUrl:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for script in scripts():
            connection.execute(script.sql.encode())
    return PostgresUrl(postgres_dsn, shown="postgresql://…")


def terminate_all(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'relay accounts'"
        )


async def test_a_lost_connection_loses_no_grant(shared: PostgresUrl) -> None:
    records = stores.account_records(shared)
    async with records.held("main") as held:
        terminate_all(shared.dsn)
        await held.write(record(2))
    assert await records.read("main") == record(2)


async def test_after_a_lost_connection_a_newer_grant_stays(shared: PostgresUrl) -> None:
    records = stores.account_records(shared)
    async with records.held("main") as held:
        terminate_all(shared.dsn)
        async with records.held("main") as meanwhile:
            await meanwhile.write(record(7))
        await held.write(record(2))
    assert await records.read("main") == record(7)


async def test_a_server_that_is_away_is_busy(shared: PostgresUrl) -> None:
    with pytest.raises(StoreBusy, match="PostgreSQL is away"):
        await account_rows.AccountRows("postgresql://nobody@127.0.0.1:1/x").read("main")


def test_a_record_survives_its_text_and_shows_no_token() -> None:
    for each in (NOTHING, record(), record(3, "403")):
        assert decode(encode(each), "it") == each
        assert "canary" not in repr(each)


async def test_others_lose_the_rights_that_a_copy_gave_them(tmp_path: Path) -> None:
    url = SqliteUrl(tmp_path / "relay.db")
    async with stores.account_records(url).held("main") as held:
        await held.write(record())
    file = tmp_path / "relay.db.account-main.json"
    file.chmod(0o644)
    assert await stores.account_records(url).read("main") == record()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


READ_AS_NOBODY = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from relay.store.sqlite.account_files import AccountFiles
os.setgroups([])
os.setresuid(65534, 65534, 65534)
asyncio.run(AccountFiles(Path(sys.argv[1])).read("main"))
"""
"""All is imported first: that user may not look where the interpreter is."""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_a_record_of_another_user_is_said_with_who_owns_it() -> None:
    """As when somebody logged in as root, and the relay is another user."""
    with tempfile.TemporaryDirectory(prefix="relay-account-") as folder:  # others may not look into pytest's own
        Path(folder).chmod(0o755)
        file = Path(folder) / "relay.db.account-main.json"
        file.write_text(encode(record()))
        file.chmod(0o600)
        command = [sys.executable, "-c", READ_AS_NOBODY, f"{folder}/relay.db"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr.splitlines()[-1].startswith(f"relay.errors.StoreBusy: cannot read {file}: ")
    assert "root" in ended.stderr.splitlines()[-1] and "canary" not in ended.stderr
