"""`drain` forwards the spool of a relay that is gone, as often as it is called."""

import asyncio
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreLocked
from relay.store.spool.drain import Drained, drain
from relay.store.sqlite.spool import SqliteSpool
from relay.store.sqlite.store import SqliteStore
from tests.store.spool.conftest import Relay, audit, request
from tests.store.spool.shared import FakeShared


async def stranded(folder: Path, shared: FakeShared, *numbers: int) -> str:
    shared.away = True
    relay = Relay(folder, shared)
    relay.begin()
    await relay.keep(*(request(number) for number in numbers))
    await relay.stop()
    shared.away = False
    return relay.spool.name


def emit(_signal: object) -> None:
    """Nobody looks."""


class Server:
    """Opens the shared store once more for each call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self.away = False
        self.refused_bare: set[str] = set()
        self.most = 1_000

    def __call__(self, name: str) -> FakeShared:
        self.names.append(name)
        shared = FakeShared(self.folder)
        shared.away = self.away
        shared.refused_bare = self.refused_bare
        shared.most = self.most
        return shared


def sizes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_size for each in folder.iterdir()}


async def test_a_stranded_spool_is_forwarded_once_in_its_relays_name(tmp_path: Path) -> None:
    server = Server(tmp_path)
    first = server("")
    name = await stranded(tmp_path, first, *range(1, 200))
    await first.close()
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=199, refused=0)
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=0, refused=0)
    assert server.names[1:] == [name, name]
    after = server("")
    assert await after.stored() == [f"webhook-{number:04}" for number in range(1, 200)]
    drained = [each for each in await after.audit(limit=9) if each.details == {"relay": name}]
    assert sorted(each.count for each in drained) == [0, 199]
    await after.close()


async def test_what_is_refused_stays_in_the_file(tmp_path: Path) -> None:
    server = Server(tmp_path)
    first = server("")
    await stranded(tmp_path, first, 1, 2, 3)
    await first.close()
    server.refused_bare = {"webhook-0002"}
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=2, refused=1)
    server.refused_bare = set()
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=1, refused=0)


async def test_a_spool_whose_relay_runs_is_left_to_it(tmp_path: Path) -> None:
    spool = SqliteSpool.own(tmp_path / "spool.db", emit=emit, failed=lambda: None)
    with pytest.raises(StoreLocked, match="its relay runs"):
        await drain(tmp_path / "spool.db", Server(tmp_path), audit=audit, emit=emit)
    await spool.close()


async def test_there_must_be_a_spool(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no spool at"):
        await drain(tmp_path / "spool.db", Server(tmp_path), audit=audit, emit=emit)
    assert not (tmp_path / "spool.db").exists()


async def test_a_page_that_takes_too_long_is_divided(tmp_path: Path) -> None:
    server = Server(tmp_path)
    first = server("")
    await stranded(tmp_path, first, *range(1, 40))
    await first.close()
    server.most = 3
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=39, refused=0)
    server.most = 0
    await stranded(tmp_path, again := server(""), 40)
    await again.close()
    with pytest.raises(StoreBusy):
        await drain(tmp_path / "spool.db", server, audit=audit, emit=emit)


async def test_a_file_that_is_no_spool_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigurationError, match="no spool at"):
        await drain(tmp_path / "empty.db", Server(tmp_path), audit=audit, emit=emit)
    assert sizes(tmp_path) == {"empty.db": 0}


async def test_while_the_shared_store_is_away_the_spool_stays_as_it_is(tmp_path: Path) -> None:
    server = Server(tmp_path)
    first = server("")
    await stranded(tmp_path, first, 1)
    await first.close()
    server.away = True
    with pytest.raises(StoreBusy):
        await drain(tmp_path / "spool.db", server, audit=audit, emit=emit)
    server.away = False
    assert await drain(tmp_path / "spool.db", server, audit=audit, emit=emit) == Drained(forwarded=1, refused=0)


async def test_what_is_not_known_to_be_audited_is_not_forwarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path)
    first = server("")
    await stranded(tmp_path, first, 1)
    await first.close()
    monkeypatch.setattr(SqliteStore, "record_audit", _busy)
    with pytest.raises(StoreBusy, match="the audit"):
        await drain(tmp_path / "spool.db", server, audit=audit, emit=emit)
    after = server("")
    assert await after.stored() == []
    await after.close()


async def _busy(*_arguments: object) -> None:
    raise StoreBusy("the audit cannot be written")


async def test_a_kill_at_whatever_statement_loses_and_repeats_nothing(tmp_path: Path) -> None:
    made, left = tmp_path / "made", tmp_path / "left"
    made.mkdir()
    first = Server(made)("")
    await stranded(made, first, *range(1, 4))
    await first.close()
    command = (sys.executable, "-m", "tests.store.spool.killed", str(made), str(left))
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    steps = int(ended.stdout)
    assert steps > 5
    for step in range(1, steps + 1):
        folder = left / str(step)
        await drain(folder / "spool.db", Server(folder), audit=audit, emit=emit)
        after = Server(folder)("")
        assert await after.stored() == ["webhook-0001", "webhook-0002", "webhook-0003"], step
        await after.close()
        with closing(apsw.Connection(str(folder / "spool.db"))) as spool:
            assert spool.execute("select count(*) from webhooks").fetchall() == [(0,)], step
