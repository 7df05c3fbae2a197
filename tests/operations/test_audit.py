"""`relay.operations.audit`: an act and its line are one commit."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import State
from relay.operations.audit import conditions, latest
from relay.operations.pause import pause, resume
from relay.operations.purge import one_age, purge
from relay.operations.reparse import reparse
from relay.operations.replay import replay
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.cli.conftest import CYRILLIC, MINUTE, NOON
from tests.operations.conftest import BY

LATER = NOON + timedelta(days=2)


async def _pause(store: Archive, _config: Config) -> object:
    return await pause(store, "warehouse", routed={"warehouse"}, by=BY, now=NOON)


async def _resume(store: Archive, _config: Config) -> object:
    await resume(store, "sales-bot", routed=(), by=BY, now=NOON)
    return None


async def _replay(store: Archive, _config: Config) -> object:
    return await replay(store, Filter(states=(State.DEAD,)), by=BY, now=NOON)


async def _reparse(store: Archive, config: Config) -> object:
    return [each async for each in reparse(store, [CYRILLIC], config, charset="cp1251", by=BY, now=NOON)]


async def _purge(store: Archive, _config: Config) -> object:
    return await purge(store, one_age(timedelta(days=1), ["unparsed"]), by=BY, now=LATER)


ACTS = [_pause, _resume, _replay, _reparse, _purge]


def content(path: Path) -> dict[str, list[object]]:
    """Every row of the tables that acts change."""
    tables = ("webhooks", "events", "deliveries", "pauses", "audit")
    with closing(apsw.Connection(str(path))) as connection:
        return {table: [*connection.execute(f"select * from {table}")] for table in tables}


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_whose_line_cannot_be_written_is_not_done(
    act: Callable[[Archive, Config], Awaitable[object]], store: Archive, config: Config, folder: Path
) -> None:
    await pause(store, "sales-bot", routed={"sales-bot"}, by=BY, now=NOON)
    with closing(apsw.Connection(str(folder / "relay.db"))) as connection:
        connection.execute(
            "create trigger no_audit before insert on audit begin select raise(abort, 'no line today'); end"
        )
    before = content(folder / "relay.db")
    with pytest.raises(Exception, match="no line today"):
        await act(store, config)
    assert content(folder / "relay.db") == before


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_that_is_done_has_one_line(
    act: Callable[[Archive, Config], Awaitable[object]], store: Archive, config: Config, folder: Path
) -> None:
    await pause(store, "sales-bot", routed={"sales-bot"}, by="ann@host", now=NOON - MINUTE)
    before = content(folder / "relay.db")
    await act(store, config)
    after = content(folder / "relay.db")
    assert {table for table in after if after[table] != before[table]} > {"audit"}
    assert [entry.who for entry in await latest(store, limit=9)] == [BY, "ann@host"]


def test_only_conditions_that_are_set_are_details() -> None:
    wanted = Filter(target="warehouse", states=(State.DEAD,), since=NOON)
    assert conditions(wanted) == {
        "target": "warehouse",
        "states": (State.DEAD,),
        "since": "2026-11-22T12:00:00.000Z",
    }
