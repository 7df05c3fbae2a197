"""A traceparent that comes with a webhook, whichever server reads it: kept if it is valid, and on every attempt."""

import asyncio

import pytest

from relay.http.aiohttp_version import Variant
from relay.model import Webhook
from relay.model.trace import attempt_traceparent
from tests.e2e.processes import until
from tests.e2e.targets import refusing
from tests.scene import LEAD, TOKEN, Scene, form

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CAME = f"00-{TRACE}-00f067aa0ba902b7-00"


async def post(scene: Scene, *lines: str, pause: float = 0) -> Webhook:
    """Send a webhook with these header lines, its body so many seconds after them; return what is kept of it."""
    body = form(LEAD)
    fixed = f"POST /hooks/crm/{TOKEN} HTTP/1.1", "Host: relay", f"Content-Length: {len(body)}"
    head = "".join(f"{line}\r\n" for line in (*fixed, *lines, "")).encode("latin-1")
    async with scene.connected() as (reader, writer):
        for segment in (head, body) if pause else (head + body,):
            writer.write(segment)
            await asyncio.sleep(pause)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    [kept] = await scene.kept()
    return kept


@pytest.mark.parametrize("pause", [0, 0.05])
async def test_a_valid_one_is_kept_and_each_attempt_sends_its_trace_on(
    pause: float, server: Variant, scene: Scene
) -> None:
    scene.targets.behaviour["bot"] = refusing(1, **{"retry-after": "0"})
    kept = await post(scene, f"Traceparent:  {CAME} ", "tracestate: vendor=1", pause=pause)
    assert kept.traceparent == CAME
    await until(lambda: len(scene.targets.of("bot")) == 2)
    requests = scene.targets.of("bot")
    assert [each.headers["traceparent"] for each in requests] == [
        attempt_traceparent(kept.trace, each.event_id, "bot", each.attempt) for each in requests
    ]
    assert [each.headers["traceparent"][:35] for each in requests] == [f"00-{TRACE}"] * 2
    assert all(each.headers["traceparent"].endswith("-00") for each in requests)
    assert not any("tracestate" in each.headers for each in requests)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (f"traceparent: {CAME.upper()}",),
        (f"traceparent: ff{CAME[2:]}",),
        (f"traceparent: {CAME}", f"traceparent: {CAME}"),
        ("traceparent: \xff",),
        ("traceparent:",),
    ],
    ids=["none", "upper case", "version ff", "two", "not ASCII", "empty"],
)
@pytest.mark.parametrize("pause", [0, 0.05])
async def test_without_a_valid_one_nothing_is_kept_and_the_trace_id_is_the_webhooks_id(
    lines: tuple[str, ...], pause: float, server: Variant, scene: Scene
) -> None:
    kept = await post(scene, *lines, pause=pause)
    assert kept.traceparent == ""
    await until(lambda: bool(scene.targets.of("bot")))
    [request] = scene.targets.of("bot")
    assert request.headers["traceparent"][3:35] == kept.id.replace("-", "")
    assert request.headers["traceparent"].endswith("-01")
