"""What operators ask about healing, at the desk."""

from dataclasses import replace

import pytest

from relay.operations.desk import Desk
from relay.operations.heals import HEAL_RUN, HEALED, NONE_RUNS, HealRun, HealRunOf
from relay.routes import config as routes_file
from relay.store.contract import Archive
from relay.store.records import Status
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import NOON, SECRETS
from tests.cli.test_heal import HEALING
from tests.operations.conftest import OPERATOR


async def test_a_scan_that_no_relay_can_do_now_is_stored_and_says_what_it_waits_for(
    store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = routes_file.parse(HEALING, file="routes.yaml", env=SECRETS)
    desk = Desk(store, OPERATOR, config=lambda: config)
    asked = HealRun(source="crm", since=NOON)
    assert (await desk.ask(HEAL_RUN, asked)).waits_for == ""
    status = SqliteStore.status

    async def nobody(of: SqliteStore) -> Status:
        return replace(await status(of), relays=())

    monkeypatch.setattr(SqliteStore, "status", nobody)
    done = await desk.ask(HEAL_RUN, asked)
    assert done.waits_for == NONE_RUNS
    assert (await desk.ask(HEALED, HealRunOf(id=done.id))).answer is None, "it is stored"
