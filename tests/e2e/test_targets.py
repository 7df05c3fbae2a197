"""Targets that misbehave: how each delivery ends, as `relay show`, the metrics and the log tell it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from tests.e2e.processes import RelayProcess, running, until
from tests.e2e.sender import post_lead
from tests.e2e.targets import Answer, Targets, always, hanging, listening, refusing, well

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one relay for all: every test has a target of its own

STAGES = {
    "recovering": 1,
    "hanging": 2,
    "busy": 3,
    "refusing": 4,
    "impolite": 5,
    "well": 6,
    "hung": 7,
    "redirecting": 8,
    "moved": 9,
}

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms, max: 200ms}}}}
targets:
  recovering: {{url: "{recovering}"}}
  hanging: {{url: "{hanging}", timeout: 400ms, retry: {{attempts: 2}}}}
  hung: {{url: "{hung}", timeout: 400ms, retry: {{attempts: 2}}}}
  busy: {{url: "{busy}"}}
  refusing: {{url: "{refusing}"}}
  impolite: {{url: "{impolite}", concurrency: 1}}
  well: {{url: "{well}"}}
  redirecting: {{url: "{redirecting}?key=canary-key-1", ok_on: [302]}}
  moved: {{url: "{moved}", breaker: {{failures: 1}}, retry: {{attempts: 2}}}}
routes:
  - {{name: to-recovering, match: {{status_id: 1}}, to: recovering}}
  - {{name: to-hanging, match: {{status_id: 2}}, to: hanging}}
  - {{name: to-busy, match: {{status_id: 3}}, to: busy}}
  - {{name: to-refusing, match: {{status_id: 4}}, to: refusing}}
  - {{name: to-impolite, match: {{status_id: 5}}, to: impolite}}
  - {{name: to-well, match: {{status_id: 6}}, to: well}}
  - {{name: to-hung, match: {{status_id: 7}}, to: hung}}
  - {{name: to-redirecting, match: {{status_id: 8}}, to: redirecting}}
  - {{name: to-moved, match: {{status_id: 9}}, to: moved}}
"""


Attempts: TypeAlias = list[tuple[str, str, int | None]]
"""Verdict, reason and status of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A relay and its targets. Ask it of the first webhook to a target with `ended`."""

    relay: RelayProcess
    targets: Targets
    connections: list[int]

    async def post(self, target: str, marker: str = "m1") -> str:
        """The id of the webhook."""
        return await post_lead(self.relay.hook, marker, status_id=STAGES[target])

    async def ended(self, webhook: str) -> dict[str, Any]:
        """Its one delivery, as `relay show` tells it once it is delivered or dead."""
        while True:
            [event] = (await self.relay.command("show", webhook))["events"]
            [delivery] = event["deliveries"]
            if delivery["state"] != "pending":
                return delivery


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    behaviour = {
        "recovering": refusing(2),
        "hanging": hanging,
        "hung": hanging,
        "busy": refusing(1, **{"Retry-After": "1"}),
        "refusing": always(400),
        "well": well,
        "redirecting": lambda _nth: Answer(
            status=302, headers={"Location": "https://script.example/?key=canary-key-1"}
        ),
        "moved": lambda _nth: Answer(status=308, headers={"Location": "/new"}),
        "new": well,
    }
    async with listening(**behaviour) as targets, impolite() as (impolite_url, connections):
        urls = {name: targets.url(name) for name in behaviour}
        async with running(tmp_path_factory.mktemp("relay"), ROUTES.format(impolite=impolite_url, **urls)) as relay:
            yield Scene(relay=relay, targets=targets, connections=connections)


@asynccontextmanager
async def impolite() -> AsyncIterator[tuple[str, list[int]]]:
    """A target that takes one request of each connection and, though it said nothing, closes at the next one.

    A server that closes what has been idle too long looks like this whenever a request crosses its goodbye.
    The list holds how many requests each connection brought.
    """
    requests: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(0)
        connection = len(requests) - 1
        while requests[connection] < 2 and (head := await _head(reader)):
            requests[connection] += 1
            if requests[connection] == 1:
                await reader.readexactly(_length(head))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/", requests
    finally:
        server.close()
        await server.wait_closed()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _length(head: bytes) -> int:
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(length.partition(b":")[2])


async def told(scene: Scene, target: str, webhook: str) -> tuple[Attempts, str]:
    """The attempts and how the delivery ended: three tellers, who must agree."""
    delivery = await scene.ended(webhook)
    attempts = [(each["verdict"], each["reason"], each["status"]) for each in delivery["attempts"]]
    await _logged(scene.relay, target, attempts)
    await _counted(scene.relay, target, attempts, dead=delivery["state"] == "dead")
    return attempts, delivery["state"]


def logged(relay: RelayProcess, target: str) -> list[dict[str, Any]]:
    """The lines about its attempts."""
    return [line for line in relay.lines("attempt") if line["target"] == target]


async def _logged(relay: RelayProcess, target: str, attempts: Attempts) -> None:
    await until(lambda: len(logged(relay, target)) >= len(attempts))
    lines = logged(relay, target)
    assert [(line["outcome"], line["reason"], line.get("status")) for line in lines] == attempts
    assert [line["attempt"] for line in lines] == [*range(1, len(attempts) + 1)]


async def _counted(relay: RelayProcess, target: str, attempts: Attempts, *, dead: bool) -> None:
    for verdict, reason, _status in attempts:
        same = sum(each[:2] == (verdict, reason) for each in attempts)
        assert await relay.metric("relay_attempts_total", target=target, outcome=verdict, reason=reason) == same
    assert await relay.metric("relay_attempts_total", target=target) == len(attempts)
    assert await relay.metric("relay_attempt_seconds_count", target=target) == len(attempts)

    async def backlog() -> bool:
        gauges = [await relay.metric(f"relay_deliveries_{state}", target=target) for state in ("pending", "dead")]
        return gauges == [0, dead]

    await until(backlog)  # at most a second behind


async def test_what_is_refused_twice_with_503_is_delivered_at_the_third_attempt(scene: Scene) -> None:
    webhook = await scene.post("recovering")
    refused = ("retry", "5xx", 503)
    assert await told(scene, "recovering", webhook) == ([refused, refused, ("delivered", "2xx", 200)], "delivered")
    assert [each.attempt for each in scene.targets.of("recovering")] == [1, 2, 3]
    assert len({each.event_id for each in scene.targets.of("recovering")}) == 1


async def test_a_target_that_hangs_costs_its_time_out_each_time_and_then_the_delivery_is_dead(scene: Scene) -> None:
    webhook = await scene.post("hanging")
    assert await told(scene, "hanging", webhook) == ([("retry", "timeout", None), ("dead", "timeout", None)], "dead")
    delivery = await scene.ended(webhook)
    assert delivery["why"] == "2 attempts failed, the last one: timeout"
    assert all(each["took"] > 0.395 for each in delivery["attempts"])  # uvloop counts in milliseconds


async def test_retry_after_puts_the_next_attempt_off(scene: Scene) -> None:
    webhook = await scene.post("busy")
    assert await told(scene, "busy", webhook) == ([("retry", "5xx", 503), ("delivered", "2xx", 200)], "delivered")
    first, second = scene.targets.of("busy")
    assert second.at - first.at >= 0.99  # the policy alone would have waited 50 ms


async def test_a_400_is_final(scene: Scene) -> None:
    webhook = await scene.post("refusing")
    assert await told(scene, "refusing", webhook) == ([("dead", "4xx", 400)], "dead")
    assert (await scene.ended(webhook))["why"] == "answered 400, which is in dead_on"
    [line] = logged(scene.relay, "refusing")
    assert line["level"] == "warning"
    [listed] = (await scene.relay.command("list", "--state", "dead", "--target", "refusing"))["data"]
    assert listed["event"] == scene.targets.of("refusing")[0].event_id


async def test_a_redirect_of_ok_on_is_delivered_and_says_where_to_without_the_secret(scene: Scene) -> None:
    """As Google Apps Script answers once it has done the work."""
    webhook = await scene.post("redirecting")
    assert await told(scene, "redirecting", webhook) == ([("delivered", "3xx", 302)], "delivered")
    [attempt] = (await scene.ended(webhook))["attempts"]
    assert attempt["detail"] == "Location: https://script.example/?***"
    assert [each.query for each in scene.targets.of("redirecting")] == ["key=canary-key-1"], "and it is not followed"


async def test_the_address_of_a_redirect_is_shown_while_its_circuit_is_open(scene: Scene) -> None:
    webhook = await scene.post("moved")
    await until(lambda: bool(logged(scene.relay, "moved")))

    async def held() -> bool:
        [moved] = [each for each in (await scene.relay.command("status"))["targets"] if each["target"] == "moved"]
        return (moved["breaker"] or {}).get("error") == "3xx 308 Location: /new"

    await until(held)
    [event] = (await scene.relay.command("show", webhook))["events"]
    assert event["deliveries"][0]["attempts"][0]["detail"] == "Location: /new"
    assert (bool(scene.targets.of("moved")), scene.targets.of("new")) == (True, [])


async def test_a_kept_connection_that_is_closed_under_a_request_costs_no_attempt(scene: Scene) -> None:
    for marker in ("m1", "m2", "m3"):
        delivery = await scene.ended(await scene.post("impolite", marker))
        assert [(each["number"], each["reason"]) for each in delivery["attempts"]] == [(1, "2xx")]
    assert 2 in scene.connections
    assert await scene.relay.metric("relay_attempts_total", target="impolite") == 3
    assert await scene.relay.metric("relay_attempts_total", target="impolite", outcome="delivered") == 3
    await until(lambda: len(logged(scene.relay, "impolite")) >= 3)
    lines = logged(scene.relay, "impolite")
    assert [(line["attempt"], line["outcome"], line["reason"]) for line in lines] == [(1, "delivered", "2xx")] * 3


async def test_a_target_that_hangs_does_not_slow_another(scene: Scene) -> None:
    for number in range(40):  # five times what may be under way there at once
        await scene.post("hung", f"h{number}")
    for number in range(20):
        await scene.post("well", f"w{number}")
    await until(lambda: len(scene.targets.accepted("well")) == 20)
    assert await scene.relay.metric("relay_attempts_total", target="hung") < 80, "the hanging one was done first"
    assert sorted(scene.targets.accepted("well")) == sorted(f"w{number}" for number in range(20))
