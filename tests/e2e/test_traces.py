"""A relay with a collector: one trace from the sender of a webhook to its target, in spans, log, metrics and `show`."""

from pathlib import Path
from signal import Signals

import aiohttp

from tests.e2e.processes import TOKEN, running
from tests.e2e.sender import body, headers
from tests.e2e.targets import Answer, Behaviour, listening
from tests.observe.collector import Seen, collecting

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARIES = (TOKEN, "canary-of-a-query", "canary-of-a-header", "canary-of-a-body")

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms}}}}
targets:
  bot: {{url: "{bot}?key=canary-of-a-query", headers: {{Authorization: "Bearer canary-of-a-header"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: bot}}]
"""


def indiscreet_at_first() -> Behaviour:
    return lambda nth: Answer(status=503, indiscreet=True) if nth == 1 else Answer()


async def test_a_webhook_its_commit_and_its_attempts_are_spans_of_the_senders_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        async with (
            listening(bot=indiscreet_at_first()) as targets,
            running(
                tmp_path, ROUTES.format(bot=targets.url("bot")), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
            ) as relay,
            aiohttp.ClientSession() as session,
        ):
            content = body("leads[add][0]", {"id": 7, "name": "canary-of-a-body"})
            traceparent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            async with session.post(relay.hook, data=content, headers=headers() | traceparent) as answer:
                webhook = (await answer.json())["webhook"]
            await relay.drained()
            shown = await relay.command("show", webhook)
            lines = await relay.said("attempt", 2)
            async with session.get(
                f"{relay.admin}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
            ) as scraped:
                metrics = await scraped.text()
            relay.signal(Signals.SIGTERM)
            assert await relay.ended() == 0
    named: dict[str, list[Seen]] = {}
    for span in sorted(collector.spans, key=lambda each: each.start):
        named.setdefault(span.name, []).append(span)
    assert {name: len(found) for name, found in named.items()} == {
        "POST /hooks/{source}/{token}": 1,
        "commit": 1,
        "send bot": 2,
    }
    [intake], [commit], sent = named.values()
    assert {each.trace for each in collector.spans} == {TRACE}
    assert intake.parent == PARENT
    assert {commit.parent, *(each.parent for each in sent)} == {intake.id}
    assert [f"00-{TRACE}-{each.id}-01" for each in sent] == [each.headers["traceparent"] for each in targets.of("bot")]
    assert [each.attributes["http.response.status_code"] for each in sent] == [503, 200]
    assert {(each.attributes["server.address"], each.attributes["server.port"]) for each in sent} == {
        ("127.0.0.1", targets.port)
    }
    assert sent[0].attributes["cloudevents.event_type"] == "com.amocrm.leads.add"
    [[delivery]] = [each["deliveries"] for each in shown["events"]]
    assert [each["span_id"] for each in delivery["attempts"]] == [each.id for each in sent]
    assert (shown["webhook"]["trace_id"], shown["webhook"]["traceparent"]) == (TRACE, traceparent["traceparent"])
    assert {each["trace_id"] for each in lines} == {TRACE}
    assert f'# {{trace_id="{TRACE}"}}' in metrics
    assert 'relay_spans_total{outcome="lost"} 0' in metrics
    assert not [canary for canary in CANARIES for each in collector.bodies if canary.encode() in each]


async def test_with_a_collector_that_is_away_webhooks_are_delivered_and_the_relay_stops_in_time(tmp_path: Path) -> None:
    with collecting() as collector:
        away = collector.url
    async with (
        listening(bot=indiscreet_at_first()) as targets,
        running(tmp_path, ROUTES.format(bot=targets.url("bot")), OTEL_EXPORTER_OTLP_ENDPOINT=away) as relay,
        aiohttp.ClientSession() as session,
    ):
        content = body("leads[add][0]", {"id": 7})
        async with session.post(relay.hook, data=content, headers=headers()) as answer:
            assert answer.status == 200
        await relay.drained()
        [line] = await relay.said("spans lost: the collector does not take them")
        assert line["why"] == "ConnectionRefusedError"
        assert await relay.metric("relay_spans_total", outcome="lost") >= 1
        relay.signal(Signals.SIGTERM)
        assert await relay.ended() == 0
