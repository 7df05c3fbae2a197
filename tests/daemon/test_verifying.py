"""The process that verifies a store beside the relay that uses it."""

import asyncio
import os
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import apsw
import pytest

from relay.daemon.verifying import main, verify_beside
from relay.errors import ConfigurationError, StoreError
from relay.operations.verify import read_answer, verify
from relay.store.open import SqliteUrl
from relay.store.records import Disk
from relay.store.sqlite.disk import MEBIBYTE
from relay.store.sqlite.wal import too_long
from relay.store.url import parse_store_url
from tests.cli.conftest import OFFER, event_of
from tests.cli.conftest import folder as folder
from tests.cli.conftest import kept as kept
from tests.e2e.processes import until


async def test_it_finds_what_a_look_here_finds(kept: Path) -> None:
    store = SqliteUrl(kept)
    found = read_answer(await verify_beside(store))
    assert found == verify(store) and found.sound and found.events.checked == 3
    connection = apsw.Connection(str(kept))
    connection.execute(f"update events set payload = '{{]' where id = '{event_of(OFFER)}'")
    connection.close()
    found = read_answer(await verify_beside(store))
    assert (found.sound, found.events.corrupt) == (False, (event_of(OFFER),))


async def test_modules_of_the_working_directory_are_not_taken_for_those_of_the_relay(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert read_answer(await verify_beside(SqliteUrl(kept))).sound


async def test_it_ends_with_a_relay_that_is_killed() -> None:
    """It waits for a server that says nothing, and would go on to the next host."""
    loop, tried = asyncio.get_running_loop(), 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        hosts = [f"127.0.0.1:{server.getsockname()[1]}"] * 5
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-c", VERIFIES, f"postgresql://relay@{','.join(hosts)}/relay"
        )
        connection, _ = await loop.sock_accept(server)
        with connection:
            [child] = children(relay.pid)
            relay.kill()
            await relay.wait()
            await until(lambda: not runs(child))
        with suppress(BlockingIOError):
            while True:
                server.accept()[0].close()
                tried += 1
    assert tried < 3


VERIFIES = """
import asyncio, sys
from relay.daemon.verifying import verify_beside
from relay.store.url import parse_store_url
asyncio.run(verify_beside(parse_store_url(sys.argv[1])))
"""


def test_where_it_may_not_be_below_the_relay_it_is_beside_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def forbidden(_by: int) -> int:
        raise PermissionError

    monkeypatch.setattr("os.nice", forbidden)
    main(SqliteUrl(kept))
    sys.stdout.flush()
    assert read_answer(capfdbinary.readouterr().out).sound


async def test_its_errors_are_those_of_a_look_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no store at"):
        read_answer(await verify_beside(SqliteUrl(tmp_path / "gone.db")))


async def test_where_it_fails_its_traceback_is_in_the_log_of_the_relay(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="ended with 1: see the relay's log, or run relay verify on its machine"):
        await verify_beside(SqliteUrl(Path("no\0path")))
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(("length", "free", "ends"), [(256, 999, True), (20, 100, True), (20, 999, False)])
async def test_a_look_that_lets_the_log_grow_too_long_is_ended(
    length: int, free: int, ends: bool, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes of the log, and those that are free."""
    room = Disk(total=2**40, free=free * MEBIBYTE)
    monkeypatch.setattr("relay.store.sqlite.wal.too_long", partial(too_long, disk=lambda _folder: room))
    before = set(children())
    with kept.with_name("relay.db-wal").open("wb") as log:
        log.truncate(length * MEBIBYTE)
    if ends:
        with pytest.raises(StoreError, match="verify a backup instead"):
            await verify_beside(SqliteUrl(kept))
    else:
        assert read_answer(await verify_beside(SqliteUrl(kept))).sound
    assert set(children()) <= before


async def test_a_password_is_in_no_argument_and_a_cancelled_look_ends_its_process() -> None:
    unreachable = parse_store_url("postgresql://relay:canary@127.0.0.1:1/relay")
    before = set(children())
    look = asyncio.create_task(verify_beside(unreachable))
    while not (begun := set(children()) - before):  # noqa: ASYNC110  another process begins
        await asyncio.sleep(0)
    [child] = begun
    assert b"canary" not in Path(f"/proc/{child}/cmdline").read_bytes()  # noqa: ASYNC240
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert child not in children()


def children(of: int | None = None) -> list[str]:
    """The ids of the processes that this one, or another one, has begun."""
    tasks = Path(f"/proc/{of or os.getpid()}/task").iterdir()
    return [each for task in tasks for each in (task / "children").read_text().split()]


def runs(process: str) -> bool:
    """False once it has ended, also if nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
