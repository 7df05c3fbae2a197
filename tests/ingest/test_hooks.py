"""Webhooks of a source that heals are indexed in the transaction that keeps them; those of others are not."""

import time
from datetime import timedelta

import pytest

from relay.account.heal import indexing
from relay.account.server_clock import ServerTime
from relay.model.heal import StoredHook
from relay.signals import HooksNotIndexed
from tests import scene as scenes
from tests.scene import LEAD, Scene, form, sqlite_of

CHANGED_AT = int(time.time()) - 60  # what is older than a week is purged while the test looks
MOVED = LEAD | {"old_status_id": 2, "last_modified": CHANGED_AT}
HEALING = """\
accounts: {{main: {{host: "127.0.0.1:9", token: "of-nobody"}}}}
sources:
  healing: {{token: "{token}", account: main, heal: report}}
"""


@pytest.fixture(autouse=True)
def healing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene has a source that heals, too."""
    monkeypatch.setattr(scenes, "ROUTES", scenes.ROUTES.replace("sources:\n", HEALING))


async def hooks(scene: Scene) -> list[StoredHook]:
    now = scene.relay.store.clock()
    wide = timedelta(days=9_000)
    store = sqlite_of(scene.relay).healing
    return [
        each for source in ("healing", "crm") for each in await store.hooks(source, since=now - wide, until=now + wide)
    ]


async def test_a_move_is_indexed_by_its_lead_and_stages(scene: Scene) -> None:
    answer = await scene.post(form(MOVED, MOVED | {"id": 777}), source="healing")
    found = [each for each in await hooks(scene) if each.hook.channel == "account"]
    assert [(each.webhook, each.hook.item) for each in found] == [(answer.body["webhook"], n) for n in (0, 1)]
    assert ["501" in each.hook.key for each in found] == [True, False]
    assert {each.hook.at and each.hook.at.timestamp() for each in found} == {CHANGED_AT}


async def test_what_no_feed_tells_of_and_other_sources_are_not_indexed(scene: Scene) -> None:
    await scene.post(form(MOVED))
    await scene.post(b"bad", source="healing")
    assert await hooks(scene) == []


async def test_a_fault_of_the_index_loses_no_webhook(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_how: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(indexing, "hooks_of", fail)
    answer = await scene.post(form(MOVED), source="healing")
    assert (answer.status, answer.body["events"]) == (200, 1)
    assert [each.error for each in scene.facts.signals if isinstance(each, HooksNotIndexed)] == ["ZeroDivisionError()"]


async def test_a_webhook_that_is_read_later_is_indexed_then(scene: Scene) -> None:
    from relay.operations.reparse import reparse

    answer = await scene.post(form(MOVED).replace(b"romashka", b"\xff"), source="healing")
    assert "unparsed" in answer.body
    config, now = scene.relay.reloader.config, scene.relay.store.clock()
    done = [each async for each in reparse(sqlite_of(scene.relay), [], config, charset="cp1251", by="me", now=now)]
    assert [each.unparsed for each in done] == [None]
    assert {each.webhook for each in await hooks(scene)} == {answer.body["webhook"]}


async def test_a_hook_arrives_by_the_clock_of_the_account(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay whose clock is behind by an hour would take every webhook for one of another change."""
    hour = timedelta(hours=1)
    accounts = scene.relay._accounts
    assert accounts

    class Told:
        def server_time(self) -> ServerTime:
            return ServerTime(scene.relay.store.clock() + hour, timedelta(seconds=1))

    clients = accounts._clients
    monkeypatch.setattr(accounts, "_clients", {"main": Told()})
    answer = await scene.post(form(MOVED), source="healing")
    store = sqlite_of(scene.relay)
    shown = await store.show(answer.body["webhook"])
    assert shown
    for each in await hooks(scene):
        assert each.hook.arrived
        assert abs(each.hook.arrived - shown.webhook.received_at - hour) < timedelta(seconds=30)
    monkeypatch.setattr(accounts, "_clients", clients)
