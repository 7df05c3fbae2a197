"""Registry -> every series that signals feed. Names and labels are a contract with dashboards and alerts."""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

import relay

ACK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 5)  # amoCRM waits 2 s
ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
BLOCKED_SECONDS = (0.5, 1, 2, 5, 10)  # from 0.25 on
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5)
LAG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 10_800, 43_200, 86_400, 172_800, 259_200)  # to 3 d


class Metrics:
    """`series.attempts("bot", "retry", "5xx").inc()`: the labels in the order they are declared here.

    The children are cached: finding one by `labels()` costs more than counting it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # a second series beside each one, which the contract does not name; prometheus_client left this call untyped
        disable_created_metrics()  # type: ignore[no-untyped-call]

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(name, text, labels, registry=registry).labels)

        def gauge(name: str, text: str, *labels: str) -> Callable[..., Gauge]:
            return cache(Gauge(name, text, labels, registry=registry).labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(name, text, labels, buckets=buckets, registry=registry).labels)

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
