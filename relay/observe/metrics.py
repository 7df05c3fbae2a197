"""Registry -> every series that signals feed. Names and labels are a contract with dashboards and alerts."""

from collections.abc import Callable, Iterable
from functools import cache, partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import relay
from relay.observe.series import Distribution, Distributions, Family, Number, Numbers

ACK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 5)  # amoCRM waits 2 s
ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
BLOCKED_SECONDS = (0.5, 1, 2, 5, 10)  # from 0.25 on
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5)
CLAIM_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5)
DIFFERENCE_SECONDS = (0, 1, 2, 5, 10, 20, 40, 60)
ENRICH_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 15)
LAG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 10_800, 43_200, 86_400, 172_800, 259_200)  # to 3 d


class Metrics(Collector):
    """`series.attempts("bot", "retry", "5xx").inc()`: the labels in the order they are declared here.

    Each call is a look-up in a cache, made once for each combination of labels.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families: list[Family] = []

        def counter(name: str, text: str, *labels: str) -> Callable[..., Number]:
            return self._numbers(partial(CounterMetricFamily, name, text, labels=labels))

        def gauge(name: str, text: str, *labels: str) -> Callable[..., Number]:
            return self._numbers(partial(GaugeMetricFamily, name, text, labels=labels))

        def histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Callable[..., Distribution]:
            family = Distributions(bounds, partial(HistogramMetricFamily, name, text, labels=labels))
            self._families.append(family)
            return cache(family.series)

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
        self.commit_seconds = histogram("relay_store_commit_seconds", "How long one commit took.", COMMIT_SECONDS)()
        self.claim_seconds = histogram(
            "relay_store_claim_seconds", "How long one claim of due deliveries took.", CLAIM_SECONDS
        )()
        self.archive_failures = counter(
            "relay_archive_failures_total", "Purges that stopped because the archive could not be written."
        )()
        self.connections_evicted = counter(
            "relay_connections_evicted_total", "Connections closed because there were too many."
        )()
        self.loop_blocked_seconds = histogram(
            "relay_loop_blocked_seconds", "How long the event loop was held up, when it was for too long.",
            BLOCKED_SECONDS,
        )()  # fmt: skip
        self.reload_successful = gauge(
            "relay_config_last_reload_successful", "1 if the last reload was taken, 0 if refused."
        )()
        self.reload_timestamp = gauge(
            "relay_config_last_reload_timestamp_seconds", "When the routes were last reloaded or refused."
        )()
        # of a relay with a spool or accounts alone: without a series they are not exposed
        always = len(self._families)
        self.hedged = counter(
            "relay_hedged_total", "Webhooks that the spool was asked to take because the shared store had not yet."
        )
        self.forwarded = counter("relay_forwarded_total", "Webhooks of the spool that the shared store has taken.")
        self.rekept = counter(
            "relay_rekept_webhooks_total", "Webhooks that a fail-over had lost, and that were stored again."
        )
        self.relays_declared_dead = counter(
            "relay_relays_declared_dead_total", "Other relays that this one has declared dead."
        )
        self.disowned = counter("relay_disowned_total", "Times that other relays have declared this one dead.")
        self.claims_returned = counter(
            "relay_claims_returned_total", "Claims that nobody held: abandoned by a dead relay, or lost.", "why"
        )
        self.account_requests = counter(
            "relay_account_requests_total", "Requests to amoCRM's API, by how they ended.", "account", "outcome"
        )
        self.token_expires = gauge(
            "relay_account_token_expires_timestamp_seconds",
            "When the account's token ends, or its grant unless it is renewed.",
            "account",
        )
        self.heal_events = counter(
            "relay_heal_events_total",
            "Events of the account's feed, by what became of each webhook that should have told of it.",
            "source", "action", "exactness", "verdict",
        )  # fmt: skip
        self.heal_orphan_hooks = counter(
            "relay_heal_orphan_hooks_total", "Webhooks of which the account's feed knows nothing.", "source"
        )
        self.heal_late_events = counter(
            "relay_heal_late_events_total", "Events that came into the account's feed after it was read.", "source"
        )
        self.heal_time_difference = histogram(
            "relay_heal_time_difference_seconds",
            "From the time in a webhook to that of the nearest event of the account's feed with its key.",
            DIFFERENCE_SECONDS,
            "source",
        )
        self.heal_mark = gauge(
            "relay_heal_mark_timestamp_seconds", "Up to when the account's feed is read completely.", "source"
        )
        self.route_stopped = gauge(
            "relay_route_stopped", "1 for a route that takes nothing, because names in it cannot be resolved.", "route"
        )
        self.enrich_seconds = histogram(
            "relay_enrich_seconds",
            "From when an event was stored until what was fetched beside it was.",
            ENRICH_SECONDS,
        )
        self.enriched = counter(
            "relay_enrich_total", "Events that something was to be fetched beside, by how that ended.", "outcome"
        )
        self.notifications = counter(
            "relay_notifications_total", "Notifications, by how sending one ended.", "receiver", "outcome"
        )
        self._optional = set(self._families[always:])
        registry.register(self)

    def show_spool(self) -> None:
        """Expose the counters of a spool, from 0 on."""
        for counter in (self.hedged, self.forwarded, self.rekept, self.relays_declared_dead, self.disowned):
            counter()
        for why in ("abandoned", "lost"):
            self.claims_returned(why)

    def collect(self) -> Iterable[Metric]:
        """Return every family, in the order they are declared in."""
        yield from (family.metric() for family in self._families if family not in self._optional or family.has_series())
        yield InfoMetricFamily("relay_build", "Which relay this is.", value={"version": relay.__version__})

    def describe(self) -> Iterable[Metric]:
        """Name the families, so that the registry refuses to export any of them twice."""
        return [family.metric() for family in self._families]

    def _numbers(self, empty: Callable[[], CounterMetricFamily | GaugeMetricFamily]) -> Callable[..., Number]:
        family = Numbers(empty)
        self._families.append(family)
        return cache(family.series)
