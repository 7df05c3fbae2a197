"""The private listener's own answers: a reload, and paths that do not exist."""

from tests.admin.conftest import Relay


async def test_a_reload_tells_what_became_of_it(relay: Relay) -> None:
    client = await relay.client()
    answer = await client.post("/-/reload")
    assert (answer.status, await answer.json()) == (200, {"reloaded": True})
    relay.problems = ["routes.yaml:3:1  no", "routes.yaml:4:1  nor"]
    answer = await client.post("/-/reload")
    assert (answer.status, await answer.json()) == (422, {"reloaded": False, "problems": relay.problems})


async def test_a_reload_is_not_done_by_looking(relay: Relay) -> None:
    answer = await (await relay.client()).get("/-/reload")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


async def test_an_unknown_path_is_answered_with_those_there_are(relay: Relay) -> None:
    answer = await (await relay.client()).get("/")
    assert answer.status == 404
    streams = ["GET /-/tail", "GET /-/forward"]
    told = ["GET /metrics", "GET /livez", "GET /readyz", "GET /readyz/store", *streams, "POST /-/reload"]
    assert (await answer.text()).splitlines() == ["not found; there are", *told]
