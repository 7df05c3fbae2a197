"""A sample goes the whole way of a webhook, and a running relay tells what it did lately."""

from typing import Any

import pytest

from relay.daemon.wiring import url
from relay.signals import WebhookStored
from tests.e2e.processes import until
from tests.scene import LEAD, Scene, form


async def ask(scene: Scene, method: str, path: str) -> tuple[int, dict[str, Any]]:
    async with scene.session.request(method, f"{url(scene.relay.admin_listening)}/api/v1{path}") as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_sample_is_stored_announced_and_delivered_as_a_webhook_that_came(scene: Scene) -> None:
    status, document = await ask(scene, "POST", "/sources/crm/sample")
    assert status == 200
    [stored] = [each.webhook for each in scene.facts.signals if isinstance(each, WebhookStored)]
    assert document == {"source": "crm", "webhook": stored.id}
    assert stored.content_type == "application/x-www-form-urlencoded"
    await until(lambda: bool(scene.targets.accepted("bot")))
    assert scene.budget.used == 0


async def test_a_sample_that_is_not_stored_is_a_conflict_with_the_reason(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.budget, "size", 0)
    status, document = await ask(scene, "POST", "/sources/crm/sample")
    assert status == 409
    assert document["detail"] == "the sample was not stored: too many webhooks, or too large ones, at once"


async def test_what_it_did_lately_is_asked_of_the_store(scene: Scene) -> None:
    await scene.post(form(LEAD))
    await until(lambda: bool(scene.targets.accepted("bot")))
    recent, store = scene.relay.recent, scene.relay.store
    await until(lambda: bool(recent.report().delivered))
    await store.questions.record_activity(recent.report(), now=store.clock())
    _status, overview = await ask(scene, "GET", "/overview")
    sources = {each["source"]: each for each in overview["sources"]}
    assert (sources["crm"]["webhooks_24h"], sources["shop"]["webhooks_24h"]) == (1, 0)
    assert sum(overview["activity"]["targets"]["bot"]["delivered"]) == 1
    assert {each["route"]: each["hits_24h"] for each in overview["activity"]["routes"]} == {"all": 1, "won": 0}
