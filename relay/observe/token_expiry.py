"""The tokens of the access file, at a scrape -> when each ends."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class TokenExpiry(Collector):
    """Export the end of each token that has one. `ends`: by the name in the access file, which bounds the label."""

    def __init__(self, registry: CollectorRegistry, ends: Callable[[], Mapping[str, datetime]]) -> None:
        self._ends = ends
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """One sample for each name."""
        family = GaugeMetricFamily(
            "relay_access_token_expires_timestamp_seconds",
            "When the token of this name in the access file ends.",
            labels=["name"],
        )
        for name, ends_at in sorted(self._ends().items()):
            family.add_metric([name], ends_at.timestamp())
        return [family] if family.samples else []
