"""Reloads beside webhooks that are on their way, and reloads that trip the relay itself."""

import pytest

from relay.daemon import reloader
from relay.signals import FileExposed
from tests.e2e.processes import until
from tests.scene import LEAD, TOKEN, Scene, form


async def test_a_webhook_whose_body_comes_after_a_reload_goes_by_the_new_routes(scene: Scene) -> None:
    body = form(LEAD)
    async with scene.connected() as (reader, writer):
        head = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:10])
        await scene.post(form(LEAD | {"name": "before"}))  # by now the head of the other one is read
        routes = scene.relay.settings.config
        routes.write_text(routes.read_text().replace("to: bot}", "to: dwh}"))
        assert not (await scene.relay.reloader.reload()).problems
        writer.write(body[10:])
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
    await until(lambda: scene.targets.accepted("dwh") == ["m1"])
    assert scene.targets.accepted("bot") == ["before"]


async def test_a_fault_in_reading_the_file_leaves_the_routes_as_they_were(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(reloader, "load", broken)
    [problem] = (await scene.relay.reloader.reload()).problems
    assert problem.endswith("routes.yaml: a fault of the relay, ZeroDivisionError")
    assert (await scene.post(form(LEAD))).status == 200


async def test_a_relay_that_stops_takes_up_no_routes(scene: Scene) -> None:
    config = scene.relay.reloader.config
    scene.relay.reloader.stop()
    assert (await scene.relay.reloader.reload()).problems == ["the relay is stopping"]
    assert scene.relay.reloader.config is config


async def test_a_file_that_others_may_write_is_taken_up_with_a_warning(scene: Scene) -> None:
    scene.relay.settings.config.chmod(0o666)
    assert not (await scene.relay.reloader.reload()).problems
    said = [each.detail for each in scene.facts.signals if isinstance(each, FileExposed)]
    assert said == ["anybody may change this file, and so where events go: chmod go-w"]
