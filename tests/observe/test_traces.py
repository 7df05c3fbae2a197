"""Signals -> spans at a collector; whatever the collector does, a stage goes on and the lost ones are counted."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import pytest
from prometheus_client import CollectorRegistry

from relay.errors import ConfigurationError
from relay.model import Dead, Reason, RetryAt
from relay.model.trace import attempt_span_id, webhook_trace
from relay.observe import exporting_spans, traces
from relay.observe.collector import Collector, collector_of
from relay.signals import (
    Attempted,
    Committed,
    ConfigActivated,
    DuplicateReceived,
    Emit,
    Endpoint,
    Notice,
    Signal,
    SpansLost,
)
from tests.observe.collector import FakeCollector, Seen, collecting
from tests.observe.conftest import MS, NOON, attempted, event, kept

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
CAME = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = f"{CAME[:-1]}0"
TRACE = webhook_trace("w-1")


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with collecting() as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "GATHER", 0.01)


class Exporting:
    """What `exporting_spans` yields, and what it does."""

    def __init__(self, **environment: str) -> None:
        self.signals: list[Signal] = []
        self.registry = CollectorRegistry()
        self.environment = environment
        self.emit: Emit = self.signals.append

    def __enter__(self) -> Self:
        self._export = exporting_spans(self.environment, self.signals.append, self.registry)
        self.emit = self._export.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._export.__exit__(None, None, None)

    def count(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("relay_spans_total", {"outcome": outcome})

    def wait(self, outcome: str, number: float) -> None:
        deadline = time.monotonic() + 20
        while self.count(outcome) != number:
            assert time.monotonic() < deadline, f"{self.count(outcome)} {outcome}"
            time.sleep(0.01)

    def of(self, kind: type[Signal]) -> list[Signal]:
        return [each for each in self.signals if isinstance(each, kind)]


def traced(trace: str = TRACE, **changes: object) -> Attempted:
    signal = attempted(**changes)
    return replace(signal, delivery=replace(signal.delivery, trace=trace))


def exported(collector: FakeCollector, *signals: Signal) -> list[Seen]:
    with Exporting(**{ENDPOINT: collector.url}) as exporting:
        for each in signals:
            exporting.emit(each)
    return collector.spans


# ---- the spans


def test_a_stored_webhook_is_a_span_with_its_commit_below_it(collector: FakeCollector) -> None:
    stored = replace(kept(event()), commit=0.4)
    intake, commit = exported(collector, stored)
    start = int(NOON.timestamp()) * 10**9
    assert (intake.name, intake.kind, intake.parent) == ("POST /hooks/{source}/{token}", "SERVER", "")
    assert (intake.trace, intake.id) == (TRACE[3:35], TRACE[36:52])
    assert (intake.start, intake.end) == (start, start + 1_400_000_000)
    assert intake.attributes == {
        "http.request.method": "POST",
        "http.route": "/hooks/{source}/{token}",
        "http.response.status_code": 200,
        "http.request.body.size": 3,
        "messaging.system": "amocrm",
        "messaging.operation.name": "receive",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "crm",
        "messaging.message.id": "w-1",
        "relay.outcome": "accepted",
        "relay.events": 1,
        "relay.deliveries": 2,
    }
    assert (commit.name, commit.kind, commit.parent, commit.trace) == ("commit", "INTERNAL", intake.id, intake.trace)
    assert (commit.start, commit.end) == (intake.end - 400_000_000, intake.end)
    assert commit.id not in ("", intake.id)


def test_the_parent_of_a_webhook_is_the_span_that_its_traceparent_names(collector: FakeCollector) -> None:
    webhook = replace(kept().webhook, traceparent=CAME)
    stored, duplicate = (
        replace(kept(), webhook=webhook),
        DuplicateReceived(webhook=webhook, first="w-0", took=3 * MS, commit=0.001),
    )
    intake, again, commit = exported(collector, stored, duplicate)
    assert (intake.trace, intake.parent, intake.id) == (CAME[3:35], CAME[36:52], TRACE[36:52])
    assert (again.attributes["relay.outcome"], again.attributes["relay.first"]) == ("duplicate", "w-0")
    assert commit.parent == again.id


def test_an_attempt_is_a_child_of_the_intake_with_the_parent_id_that_its_target_got(collector: FakeCollector) -> None:
    payload = b'{"id":"e-1","type":"leads.status","timestamp":"2026-11-22T10:53:00.123Z","source":"crm","data":{}}'
    signal = traced()
    signal = replace(signal, delivery=replace(signal.delivery, payload=payload))
    endpoints = {"warehouse": Endpoint("PUT", "dwh", 8443)}
    config = ConfigActivated(sources=["crm"], targets=["warehouse"], routes=[], endpoints=endpoints)
    [span] = exported(collector, config, signal)
    assert (span.name, span.kind, span.failed) == ("send warehouse", "CLIENT", False)
    assert (span.trace, span.parent, span.id) == (TRACE[3:35], TRACE[36:52], attempt_span_id("e-1", "warehouse", 2))
    assert span.end - span.start == 12_340_000
    assert span.attributes == {
        "http.request.method": "PUT",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "server.address": "dwh",
        "server.port": 8443,
        "messaging.system": "amocrm",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "warehouse",
        "messaging.message.id": "e-1",
        "cloudevents.event_id": "e-1",
        "cloudevents.event_spec_version": "1.0",
        "cloudevents.event_type": "com.amocrm.leads.status",
        "cloudevents.event_source": "/amocrm/crm",
        "relay.attempt": 2,
        "relay.entity_id": "4831596",
        "relay.outcome": "delivered",
        "relay.reason": "2xx",
    }


def test_an_attempt_that_failed_says_how_and_nothing_that_was_answered(collector: FakeCollector) -> None:
    refused = traced(reason=Reason.SERVER_ERROR, verdict=RetryAt(NOON), status=503, detail="canary")
    hung = traced(reason=Reason.TIMEOUT, verdict=Dead("canary"), status=None)
    assert [(each.failed, each.attributes["error.type"]) for each in exported(collector, refused, hung)] == [
        (True, "503"),
        (True, "timeout"),
    ]
    assert not any(b"canary" in each for each in collector.bodies)


def test_what_whoever_began_the_trace_does_not_sample_is_left_out(collector: FakeCollector) -> None:
    webhook = replace(kept().webhook, traceparent=UNSAMPLED)
    left_out = (
        replace(kept(), webhook=webhook),
        DuplicateReceived(webhook=webhook, first="w-0", took=MS),
        traced(webhook.trace),
        traced(""),
        Committed(writes=1, took=MS),
    )
    assert exported(collector, *left_out, traced()) == exported(collector, traced())[:1]


def test_the_resource_is_what_the_environment_says(collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    [span] = exported(collector, traced())
    assert span.resource["service.name"] == "amocrm-relay"
    assert {"service.version", "telemetry.sdk.language"} <= span.resource.keys()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hooks")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    resource = exported(collector, traced())[-1].resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("hooks", "test")


def test_many_spans_arrive_each_once(collector: FakeCollector) -> None:
    signals = [traced(webhook_trace(f"w-{number}")) for number in range(3_000)]
    got = exported(collector, *signals)
    assert sorted(each.trace for each in got) == sorted(each.delivery.trace[3:35] for each in signals)


def test_a_batch_may_be_compressed_and_has_the_headers_of_the_environment(collector: FakeCollector) -> None:
    more = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t, x-scope=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    with Exporting(**{ENDPOINT: f"{collector.url}/base/"}, **more) as exporting:
        exporting.emit(traced())
    assert len(collector.spans) == 1
    assert collector.paths == ["/base/v1/traces"]
    [headers] = collector.headers
    assert (headers["authorization"], headers["x-scope"], headers["content-encoding"]) == ("Bearer t", "1", "gzip")
    assert headers["content-type"] == "application/x-protobuf"


# ---- a collector in trouble


def test_a_collector_that_hangs_holds_up_nobody_and_what_does_not_fit_is_lost(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST", 10)
    monkeypatch.setattr(traces, "BATCH", 4)
    collector.gate.clear()
    with Exporting(**{ENDPOINT: collector.url}) as exporting:
        for _ in range(1_000):
            exporting.emit(traced())
        assert len(exporting.signals) == 1_000
        lost = exporting.count("lost")
        assert lost is not None and lost >= 980
        collector.gate.set()
        exporting.wait("exported", 1_000 - lost)
    assert len(collector.spans) == 1_000 - lost


@pytest.mark.parametrize("status", [503, 400, 302])
def test_a_collector_that_refuses_costs_spans_alone_and_one_line(status: int, collector: FakeCollector) -> None:
    collector.status = status
    with Exporting(**{ENDPOINT: collector.url}) as exporting:
        for number in range(1, 4):
            exporting.emit(traced())
            exporting.wait("lost", number)
        assert exporting.of(SpansLost) == [SpansLost(spans=1, why=f"answered {status}")]
        collector.status = 200
        exporting.emit(traced())
        exporting.wait("exported", 1)
    assert set(collector.paths) == {"/v1/traces"}
    assert len(collector.paths) == (3 * traces.TRIES if status == 503 else 3) + 1


def test_what_a_collector_takes_at_the_second_try_is_not_lost(collector: FakeCollector) -> None:
    collector.status = 503
    with Exporting(**{ENDPOINT: collector.url}) as exporting:
        exporting.emit(traced())
        deadline = time.monotonic() + 20
        while not collector.paths:
            assert time.monotonic() < deadline
        collector.status = 200
        exporting.wait("exported", 1)
        assert exporting.count("lost") == 0


def test_a_collector_that_is_away_is_one_line_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as gone:
        url = f"{gone.url}/canary?key=canary"
    with Exporting(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url) as exporting:
        exporting.emit(traced())
        exporting.wait("lost", 1)
    assert exporting.of(SpansLost) == [SpansLost(spans=1, why="ConnectionRefusedError")]


def test_a_stage_goes_on_over_a_span_that_cannot_be_made(collector: FakeCollector) -> None:
    odd = traced()
    odd = replace(odd, delivery=replace(odd.delivery, event_id="\ud800"))
    with Exporting(**{ENDPOINT: collector.url}) as exporting:
        exporting.emit(odd)
        exporting.emit(traced())
        exporting.wait("exported", 1)
        assert exporting.count("lost") == 1
    assert exporting.signals[:2] == [odd, traced()]


# ---- on and off


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: " "},
        {ENDPOINT: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "TRUE"},
        {ENDPOINT: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "hooks"},
    ],
)
def test_off_there_is_no_listener_and_no_series(environment: dict[str, str]) -> None:
    emit: Emit = [].append
    registry = CollectorRegistry()
    with exporting_spans(environment, emit, registry) as listening:
        assert listening is emit
        assert [*registry.collect()] == []


def test_off_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys; from prometheus_client import CollectorRegistry; import relay.daemon.process, relay.cli.run\n"
        "from relay.observe import exporting_spans\n"
        "with exporting_spans({}, print, CollectorRegistry()): pass\n"
        "print(*[name for name in sys.modules if name.startswith(('opentelemetry', 'google'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == ""


def test_without_the_extra_one_line_says_how_to_install_it_and_the_relay_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "relay.observe.traces"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("spans", "otlp"):
        monkeypatch.delitem(sys.modules, f"relay.observe.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with Exporting(**{ENDPOINT: "http://127.0.0.1:9"}) as exporting:
        exporting.emit(traced())
    detail = "spans need another package: pip install 'amocrm-relay[otel]'"
    assert exporting.signals == [
        Notice(level="warning", text="spans are not exported", fields={"detail": detail}),
        traced(),
    ]


@pytest.mark.parametrize(
    ("environment", "detail"),
    [
        ({ENDPOINT: "127.0.0.1:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not the http or https URL of a collector"),
        ({ENDPOINT: "http://"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not the http or https URL of a collector"),
        (
            {ENDPOINT: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: the relay speaks http/protobuf alone",
        ),
        (
            {ENDPOINT: "https://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/none"},
            "OTEL_EXPORTER_OTLP_CERTIFICATE: No such file or directory",
        ),
    ],
)
def test_a_collector_that_cannot_be_used_is_one_line_and_the_relay_runs(
    environment: dict[str, str], detail: str
) -> None:
    with Exporting(**environment) as exporting:
        exporting.emit(traced())
    notice = Notice(level="warning", text="spans are not exported", fields={"detail": detail})
    assert exporting.signals == [notice, traced()]


def test_what_the_body_of_the_block_raises_comes_out_of_it() -> None:
    with pytest.raises(ConfigurationError, match="mine"), Exporting():
        raise ConfigurationError("mine")


def test_the_variables_for_traces_alone_win() -> None:
    general = {ENDPOINT: "http://a:1", "OTEL_EXPORTER_OTLP_HEADERS": "a=1"}
    of_traces = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2/x", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "B=2%3D"}
    assert collector_of(general) == Collector(endpoint="http://a:1/v1/traces", headers={"a": "1"})
    assert collector_of(general | of_traces) == Collector(endpoint="http://b:2/x", headers={"b": "2="})
    assert "http" not in repr(collector_of(general)) and "1" not in repr(collector_of(general))


def test_a_commit_that_nobody_measured_is_no_span(collector: FakeCollector) -> None:
    assert [each.name for each in exported(collector, kept(event()))] == ["POST /hooks/{source}/{token}"]
    assert kept().commit == 0.0
