"""The private listener's own answers: a reload, paths that do not exist, and what nothing foresaw."""

import logging
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client import Metric

from relay.errors import StoreBusy
from relay.signals import Reloaded
from tests.admin.conftest import ADMIN, BEARER, PATHS, Relay

CANARY = "canary +79991234567"


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


class Broken:
    """Metrics and questions that raise what nothing foresaw."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def collect(self) -> Iterable[Metric]:
        raise self.error(CANARY)

    async def ask(self) -> Any:
        raise self.error(CANARY)

    def describe(self) -> Iterable[Metric]:
        return ()


@pytest.mark.parametrize("error", [ZeroDivisionError, ConnectionResetError])
@pytest.mark.parametrize(
    ("method", "path"), [each for each in PATHS if each[1] not in ("/livez", "/-/tail", "/-/forward")]
)
@pytest.mark.parametrize("headers", [BEARER, {}], ids=["operator", "anybody"])
async def test_what_nothing_foresaw_is_a_problem_with_its_id_in_the_log(
    relay: Relay,
    method: str,
    path: str,
    headers: dict[str, str],
    error: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Broken(error)
    asked = {"unready": broken.ask, "store_unready": broken.ask, "reload": broken.ask}
    client = await relay.client(bearers=ADMIN, **asked)
    relay.registry.register(broken)  # type: ignore[arg-type]
    answer = await client.request(method, path, headers=headers)
    text = await answer.text()
    assert "canary" not in text and "Traceback" not in text
    if not headers and not path.startswith("/readyz"):
        assert (answer.status, caplog.records) == (401, [])
        return
    assert (answer.status, answer.content_type) == (500, "application/problem+json")
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.__dict__["request"] in text
    assert record.getMessage() == f"a fault of the relay: {method} {path}"
    assert record.exc_info and isinstance(record.exc_info[1], error)


async def test_a_reload_that_a_busy_store_keeps_from_the_audit_is_to_be_tried_again(relay: Relay) -> None:
    async def busy() -> Reloaded:
        raise StoreBusy("the store is busy: try again")

    answer = await (await relay.client(reload=busy)).post("/-/reload")
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert problem["detail"] == "the store is busy: try again"
