"""`relay.operations.audit`: an act and its line are one commit."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import State
from relay.operations.audit import conditions
from relay.operations.desk import Desk
from relay.operations.pause import PAUSE, RESUME, Pause, Resume
from relay.operations.purge import one_age, purge
from relay.operations.reparse import reparse
from relay.operations.replay import replay
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.cli.conftest import CYRILLIC, NOON
from tests.operations.conftest import ANN, BY

LATER = NOON + timedelta(days=2)


async def _pause(desk: Desk) -> object:
    return await desk.ask(PAUSE, Pause(target="warehouse"))


async def _resume(desk: Desk) -> object:
    return await desk.ask(RESUME, Resume(target="sales-bot"))


async def _replay(desk: Desk) -> object:
    return await replay(desk.store, Filter(states=(State.DEAD,)), by=BY, now=NOON)


async def _reparse(desk: Desk) -> object:
    return [each async for each in reparse(desk.store, [CYRILLIC], desk.config(), charset="cp1251", by=BY, now=NOON)]


async def _purge(desk: Desk) -> object:
    return await purge(desk.store, one_age(timedelta(days=1), ["unparsed"]), by=BY, now=LATER)


ACTS = [_pause, _resume, _replay, _reparse, _purge]


def content(path: Path) -> dict[str, list[object]]:
    """Every row of the tables that acts change."""
    tables = ("webhooks", "events", "deliveries", "pauses", "audit")
    with closing(apsw.Connection(str(path))) as connection:
        return {table: [*connection.execute(f"select * from {table}")] for table in tables}


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_whose_line_cannot_be_written_is_not_done(
    act: Callable[[Desk], Awaitable[object]], store: Archive, desk: Desk, folder: Path
) -> None:
    await desk.ask(PAUSE, Pause(target="sales-bot"))
    with closing(apsw.Connection(str(folder / "relay.db"))) as connection:
        connection.execute(
            "create trigger no_audit before insert on audit begin select raise(abort, 'no line today'); end"
        )
    before = content(folder / "relay.db")
    with pytest.raises(Exception, match="no line today"):
        await act(desk)
    assert content(folder / "relay.db") == before


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_that_is_done_has_one_line(
    act: Callable[[Desk], Awaitable[object]], store: Archive, desk: Desk, folder: Path
) -> None:
    await Desk(store, ANN, config=desk.config).ask(PAUSE, Pause(target="sales-bot"))
    before = content(folder / "relay.db")
    await act(desk)
    after = content(folder / "relay.db")
    assert {table for table in after if after[table] != before[table]} > {"audit"}
    assert [entry.who for entry in await store.audit(limit=9)] == [BY, ANN.name]


def test_only_conditions_that_are_set_are_details() -> None:
    wanted = Filter(target="warehouse", states=(State.DEAD,), since=NOON)
    assert conditions(wanted) == {
        "target": "warehouse",
        "states": (State.DEAD,),
        "since": "2026-11-22T12:00:00.000Z",
    }
