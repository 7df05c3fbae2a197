"""GET /api/v1/tail: lines of JSON or server-sent events, masked for a viewer."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from relay.model import Outcome, Reason, RetryAt
from relay.observe import EventStream
from relay.signals import Attempted, Rejection, WebhookRejected
from relay.store.contract import Archive
from tests.admin.api.conftest import OPERATOR, VIEWER, Client, get
from tests.e2e.processes import until

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def failed(store: Archive) -> Attempted:
    """An attempt that a target refused, with what it said."""
    [delivery, *_] = await store.claim(
        "warehouse", limit=1, max_bytes=10**6, now=NOON + timedelta(days=1), lease=timedelta(minutes=1)
    )
    outcome = Outcome(
        reason=Reason.SERVER_ERROR, started_at=NOON, took=timedelta(seconds=1), status=503, detail="Ann is not here"
    )
    return Attempted(delivery=delivery, outcome=outcome, verdict=RetryAt(NOON), lag=timedelta())


async def test_a_line_is_a_document(client: Client, store: Archive, live: EventStream) -> None:
    async with client.get("/api/v1/tail", headers=OPERATOR) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        live(await failed(store))
        seen = json.loads(await answer.content.readline())
    assert (seen["what"], seen["target"], seen["detail"]) == ("attempt", "warehouse", "Ann is not here")


async def test_a_browser_gets_server_sent_events(client: Client, store: Archive, live: EventStream) -> None:
    async with client.get("/api/v1/tail", headers=OPERATOR | {"Accept": "text/event-stream"}) as answer:
        assert answer.content_type == "text/event-stream"
        live(await failed(store))
        line = await answer.content.readline()
        assert json.loads(line.removeprefix(b"data: "))["what"] == "attempt"
        assert await answer.content.readline() == b"\n"


async def test_a_viewer_sees_no_text_of_a_target(client: Client, store: Archive, live: EventStream) -> None:
    async with client.get("/api/v1/tail", headers=VIEWER) as answer:
        live(await failed(store))
        line = await answer.content.readline()
    assert b"Ann" not in line
    assert json.loads(line)["verdict"] == "retry"


async def test_a_filter_leaves_the_others_out(client: Client, store: Archive, live: EventStream) -> None:
    signal = await failed(store)
    async with client.get("/api/v1/tail?target=sales-bot", headers=OPERATOR) as other:
        async with client.get("/api/v1/tail?target=warehouse&failed=true", headers=OPERATOR) as answer:
            live(signal)
            assert json.loads(await answer.content.readline())["target"] == "warehouse"
        assert await other.content.readline() == b"\n"


@pytest.mark.parametrize(("query", "detail"), [("targt=a", "no parameter 'targt'"), ("failed=2", "expected `bool`")])
async def test_an_unknown_parameter_is_refused(client: Client, query: str, detail: str) -> None:
    status, problem = await get(client, f"/tail?{query}")
    assert status == 400
    assert detail in problem["detail"]


LARGE = WebhookRejected(
    source="-", reason=Rejection.UNAUTHORIZED, detail="x" * 100_000, remote="192.0.2.7", took=timedelta()
)


@pytest.mark.parametrize("path", ["/api/v1/tail", "/-/tail"])
async def test_a_client_that_reads_nothing_loses_its_place(
    client: Client, live: EventStream, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("relay.admin.tail.STALLED", 0.05)
    async with client.get(path, headers=OPERATOR):
        for _ in range(300):  # more than the sockets hold
            live(LARGE)
        await until(lambda: not live.followers)
