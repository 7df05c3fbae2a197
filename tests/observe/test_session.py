"""A recorded session -> byte for byte the exposition and the lines that prometheus_client and the general path make."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

import relay
from relay.model.trace import is_sampled, trace_id, webhook_trace
from relay.observe import Observer
from relay.observe.metrics import (
    ACK_SECONDS,
    ATTEMPT_SECONDS,
    BLOCKED_SECONDS,
    CLAIM_SECONDS,
    COMMIT_SECONDS,
    LAG_SECONDS,
)
from relay.signals import Attempted, ConfigActivated, DuplicateReceived, Signal, WebhookStored
from tests.observe.conftest import MS, Observed, kept
from tests.observe.session import session

RECORDED = Path(__file__).parent
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Traced:
    """A histogram of prometheus_client that is told of traces as ours are."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def observe(self, value: float, trace: str = "") -> None:
        """`trace`: perhaps the id of a webhook, as the session has them."""
        made = webhook_trace(trace) if trace.startswith("w-") else trace
        self._histogram.observe(value, {"trace_id": trace_id(made)} if made else None)


class Reference:
    """The series as prometheus_client keeps them: same attributes as `Metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(name, text, labels, registry=registry).labels)

        def gauge(name: str, text: str, *labels: str) -> Callable[..., Gauge]:
            return cache(Gauge(name, text, labels, registry=registry).labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Callable[..., Traced]:
            made = Histogram(name, text, labels, buckets=buckets, registry=registry)
            return cache(lambda *of: Traced(made.labels(*of)))

        self.webhooks = counter("relay_webhooks_total", "Webhooks, by how they were answered.", "source", "outcome")
        self.ack_seconds = histogram(
            "relay_ack_seconds", "From a webhook's arrival until its 200 is due.", ACK_SECONDS, "source"
        )
        self.last_webhook = gauge(
            "relay_last_webhook_timestamp_seconds", "When the last webhook arrived that was kept.", "source"
        )
        self.events = counter(
            "relay_events_total", "Events made of webhooks; routed: whether any route took it.",
            "source", "entity", "action", "routed",
        )  # fmt: skip
        self.route_matches = counter("relay_route_matches_total", "Events that the route took.", "route")
        self.attempts = counter(
            "relay_attempts_total", "Attempts, by what followed and why.", "target", "outcome", "reason"
        )
        self.attempt_seconds = histogram(
            "relay_attempt_seconds", "How long one attempt took.", ATTEMPT_SECONDS, "target"
        )
        self.delivery_lag_seconds = histogram(
            "relay_delivery_lag_seconds", "From an event's arrival until it was delivered.", LAG_SECONDS, "target"
        )
        self.commit_seconds = Histogram(
            "relay_store_commit_seconds", "How long one commit took.", buckets=COMMIT_SECONDS, registry=registry
        )
        self.claim_seconds = Histogram(
            "relay_store_claim_seconds", "How long one claim of due deliveries took.",
            buckets=CLAIM_SECONDS, registry=registry,
        )  # fmt: skip
        self.archive_failures = Counter(
            "relay_archive_failures_total", "Purges that stopped because the archive could not be written.",
            registry=registry,
        )  # fmt: skip
        self.connections_evicted = Counter(
            "relay_connections_evicted_total", "Connections closed because there were too many.", registry=registry
        )
        self.loop_blocked_seconds = Histogram(
            "relay_loop_blocked_seconds", "How long the event loop was held up, when it was for too long.",
            buckets=BLOCKED_SECONDS, registry=registry,
        )  # fmt: skip
        self.reload_successful = Gauge(
            "relay_config_last_reload_successful", "1 if the last reload was taken, 0 if refused.", registry=registry
        )
        self.reload_timestamp = Gauge(
            "relay_config_last_reload_timestamp_seconds", "When the routes were last reloaded or refused.",
            registry=registry,
        )  # fmt: skip
        Info("relay_build", "Which relay this is.", registry=registry).info({"version": relay.__version__})


def replayed(written: Literal["text", "json"] = "text", *, signals: int = 120) -> Observed:
    observed = Observed(written)
    for signal in session(signals):
        observed.emit(signal)
        observed.clock.now += 0.0401  # the limits of lines apply to some
    return observed


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Observed]:
    def replay(**how: int) -> Observed:
        with monkeypatch.context() as patched:
            patched.setattr("relay.observe.observer.Metrics", Reference)
            patched.setattr("prometheus_client.metrics.Exemplar", lambda labels, value, _at: Exemplar(labels, value))
            return replayed(**how)

    return replay


@pytest.mark.parametrize("accept", ["", "text/plain; version=1.0.0; escaping=allow-utf-8", OPENMETRICS])
@pytest.mark.parametrize("signals", [0, 1, 120, 3_000])
def test_the_exposition_is_what_prometheus_client_makes_of_its_own_series(
    accept: str, signals: int, reference: Callable[..., Observed]
) -> None:
    encode, _ = choose_encoder(accept)
    assert encode(replayed(signals=signals).registry) == encode(reference(signals=signals).registry)


def test_openmetrics_alone_has_exemplars_the_last_sampled_trace_of_each_bucket() -> None:
    observed = replayed(signals=3_000)
    encode, _ = choose_encoder(OPENMETRICS)
    exposed = encode(observed.registry).decode()
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.exemplar
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
        if sample.exemplar
    }
    traces = {trace_id(trace) for each in session(3_000) for trace in _traces(each) if is_sampled(trace)}
    assert {name for name, *_ in found} == {
        f"relay_{name}_seconds_bucket" for name in ("ack", "attempt", "delivery_lag")
    }
    assert {each.labels["trace_id"] for each in found.values()} < traces
    for encode_text in (generate_latest, choose_encoder("text/plain; version=1.0.0; escaping=allow-utf-8")[0]):
        assert b" # " not in encode_text(observed.registry).replace(b"\n# ", b"")


@pytest.mark.parametrize(
    ("traceparent", "exposed"),
    [
        ("", "019ab00000017000800000000000000a"),
        (f"00-{'a' * 32}-{'b' * 16}-01", "a" * 32),
        (f"00-{'a' * 32}-{'b' * 16}-00", None),
    ],
)
@pytest.mark.parametrize("repeated", [False, True])
def test_an_exemplar_of_an_ack_is_the_trace_of_its_webhook_unless_whoever_began_it_samples_it_not(
    traceparent: str, exposed: str | None, repeated: bool
) -> None:
    webhook = replace(kept().webhook, id="019ab000-0001-7000-8000-00000000000a", traceparent=traceparent)
    observed = Observed()
    if repeated:
        observed.emit(DuplicateReceived(webhook=webhook, first="w-0", took=MS))
    else:
        observed.emit(replace(kept(), webhook=webhook))
    [ack] = [each for each in observed.registry.collect() if each.name == "relay_ack_seconds"]
    found = [sample.exemplar.labels for sample in ack.samples if sample.exemplar]
    assert found == ([{"trace_id": exposed}] if exposed else [])


def _traces(signal: Signal) -> list[str]:
    match signal:
        case Attempted(delivery=delivery):
            return [delivery.trace]
        case WebhookStored(webhook=webhook) | DuplicateReceived(webhook=webhook):
            return [webhook.trace]
    return []


def test_families_without_series_are_exposed_before_anything_happens(reference: Callable[..., Observed]) -> None:
    fresh = generate_latest(Observed().registry).decode()
    assert fresh.count("# TYPE") == 16
    assert 'relay_store_commit_seconds_bucket{le="+Inf"} 0.0\n' in fresh
    assert "relay_attempts_total{" not in fresh


def test_names_in_use_are_exposed_at_0() -> None:
    observed = Observed()
    observed.emit(ConfigActivated(sources=["crm"], targets=["bot"], routes=["all"]))
    assert b'relay_attempts_total{outcome="delivered",reason="2xx",target="bot"} 0.0\n' in generate_latest(
        observed.registry
    )


def test_a_registry_refuses_the_same_series_twice() -> None:
    observed = Observed()
    with pytest.raises(ValueError, match="relay_attempt_seconds_bucket"):
        Observer(observed.registry, observed.log)


@pytest.mark.parametrize("name", ["session.prom", "session.txt", "session.jsonl"])
def test_the_session_is_exposed_and_logged_as_it_was_recorded(name: str) -> None:
    """Recorded with prometheus_client's series and the general path of lines, before there were others."""
    observed = replayed("json" if name == "session.jsonl" else "text")
    if name == "session.prom":
        got = generate_latest(observed.registry).decode().replace(relay.__version__, "VERSION")
    else:
        got = observed.file.content()
    assert got == (RECORDED / name).read_text()
