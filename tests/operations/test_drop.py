"""`relay.operations.drop`: what is owed to a target that is gone is given up, and its alerts end."""

from typing import Any

import pytest

from relay.errors import ConflictError, NotAllowed, NotFoundError, RoutesInvalid
from relay.model import State
from relay.operations.desk import Desk
from relay.operations.documents.acts_done import DropDocument
from relay.operations.drop import DROP, Drop
from relay.operations.which import LOOK
from relay.routes import config as routes_file
from relay.store.contract import Archive
from relay.store.records import AuditEntry, Filter
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import ROUTES, SECRETS
from tests.operations.conftest import BY, OPERATOR, VIEWER, last, no_config


@pytest.fixture
def without_warehouse(store: Archive) -> Desk:
    """The desk, after somebody has removed the target from the routes file."""
    renamed = routes_file.parse(ROUTES.replace("warehouse", "erp"), file="routes.yaml", env=SECRETS)
    return Desk(store, OPERATOR, config=lambda: renamed)


async def test_pending_ones_are_dead_and_dead_ones_dismissed(store: Archive, without_warehouse: Desk) -> None:
    foretold = await without_warehouse.ask(DROP, Drop(target="warehouse", dry_run=True))
    assert foretold == DropDocument(target="warehouse", dry_run=True, dropped=1, dismissed=1, paused=False)
    assert (await store.status()).targets["warehouse"].pending == 1
    done = await without_warehouse.ask(DROP, Drop(target="warehouse"))
    assert done == DropDocument(target="warehouse", dry_run=False, dropped=1, dismissed=1, paused=False)
    assert "warehouse" not in (await store.status()).targets, "nothing of it is counted any more"
    found = await store.find(Filter(target="warehouse"), limit=9)
    assert {each.state for each in found} == {State.DEAD}
    entry = await last(store)
    assert (entry.command, entry.who, entry.count, entry.details) == ("drop", BY, 2, {"target": "warehouse"})
    again = await without_warehouse.ask(DROP, Drop(target="warehouse"))
    assert (again.dropped, again.dismissed) == (0, 0)


async def test_a_pause_that_is_left_is_told(store: Archive, without_warehouse: Desk) -> None:
    await store.pause("warehouse", AuditEntry(id="a", at=store.clock(), who=BY, command="pause"))
    assert (await without_warehouse.ask(DROP, Drop(target="warehouse"))).paused


async def test_a_target_that_the_routes_have_is_not_dropped(store: Archive, desk: Desk) -> None:
    with pytest.raises(ConflictError, match="the routes file has the target 'warehouse': remove it there first"):
        await desk.ask(DROP, Drop(target="warehouse"))
    assert (await store.status()).targets["warehouse"].pending == 1


async def test_nothing_is_dropped_while_it_is_not_known_what_the_routes_have(store: Archive) -> None:
    with pytest.raises(RoutesInvalid):
        await Desk(store, OPERATOR, config=no_config).ask(DROP, Drop(target="warehouse"))


async def test_a_name_that_nothing_has_is_refused_with_a_suggestion(without_warehouse: Desk) -> None:
    with pytest.raises(NotFoundError, match=r"nothing is pending or dead for a target 'warehous'.*warehouse"):
        await without_warehouse.ask(DROP, Drop(target="warehous"))


async def test_a_viewer_may_not(store: Archive) -> None:
    with pytest.raises(NotAllowed):
        await Desk(store, VIEWER, config=no_config).ask(DROP, Drop(target="warehouse"))


async def test_a_misspelt_target_is_looked_for_within_a_look(
    desk: Desk, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = []
    find = SqliteStore.find

    async def seen(of: SqliteStore, wanted: Filter, **more: Any) -> Any:
        budgets.append(more.get("budget"))
        return await find(of, wanted, **more)

    monkeypatch.setattr(SqliteStore, "find", seen)
    with pytest.raises(NotFoundError):
        await desk.ask(DROP, Drop(target="warehuose"))
    assert budgets == [LOOK]
