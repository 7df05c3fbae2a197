"""Plain numbers -> metric families; prometheus_client's own series take ten times as long to count.

No lock: a series is counted by one thread (see `Observer`). A scrape that reads it meanwhile may see the sum of a
histogram one observation later than its buckets.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from relay.model.trace import parse_traceparent, trace_id, webhook_trace

Bucket: TypeAlias = tuple[str, float] | tuple[str, float, Exemplar]


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0  # an int while it is only counted: exact, and its text is that of the float

    def inc(self, by: int = 1) -> None:
        """Add to a counter."""
        self.value += by

    def set(self, value: float) -> None:
        """Set a gauge."""
        self.value = value


class Distribution:
    """A histogram: how many observations came to at most each of `bounds`, which ascend, and their sum.

    Each bucket has the last trace that was observed in it, which OpenMetrics exposes as an exemplar.
    """

    __slots__ = ("bounds", "counts", "sum", "traces")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.traces: list[tuple[str, float] | None] = [None] * len(self.counts)

    def observe(self, value: float, trace: str = "") -> None:
        """Add an observation.

        `trace`: a sampled one of `model.trace`, or the id of a webhook that began one; what is exposed is made of it
        only then.
        """
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        if trace:
            self.traces[bucket] = trace, value

    def buckets(self) -> list[Bucket]:
        """Bound as text, observations up to it and perhaps the last one in it, as an exposition has them."""
        bounds = [*map(floatToGoString, self.bounds), "+Inf"]
        return [
            (bound, count, Exemplar({"trace_id": _trace_id(last[0])}, last[1])) if last else (bound, count)
            for bound, count, last in zip(bounds, accumulate(self.counts), self.traces, strict=True)
        ]


def _trace_id(trace: str) -> str:
    return trace_id(parse_traceparent(trace) or webhook_trace(trace))


class Family(Protocol):
    """The series of one name."""

    def metric(self) -> Metric:
        """Return them as a scrape has them; a family without series, too."""

    def has_series(self) -> bool:
        """True once there is one."""


class Numbers:
    """Counters or gauges of one name, by the values of their labels."""

    def __init__(self, empty: Callable[[], CounterMetricFamily | GaugeMetricFamily]) -> None:
        self._empty = empty
        self._series: dict[tuple[str, ...], Number] = {}

    def series(self, *labels: str) -> Number:
        """Find or make one: it is exposed from now on."""
        return self._series.setdefault(tuple(map(str, labels)), Number())

    def has_series(self) -> bool:
        """See `Family`."""
        return bool(self._series)

    def metric(self) -> Metric:
        """See `Family`."""
        family = self._empty()
        for labels, number in self._series.items():
            family.add_metric(labels, number.value)
        return family


class Distributions:
    """Histograms of one name, by the values of their labels."""

    def __init__(self, bounds: Sequence[float], empty: Callable[[], HistogramMetricFamily]) -> None:
        self._bounds = bounds
        self._empty = empty
        self._series: dict[tuple[str, ...], Distribution] = {}

    def series(self, *labels: str) -> Distribution:
        """Find or make one: it is exposed from now on."""
        return self._series.setdefault(tuple(map(str, labels)), Distribution(self._bounds))

    def has_series(self) -> bool:
        """See `Family`."""
        return bool(self._series)

    def metric(self) -> Metric:
        """See `Family`."""
        family = self._empty()
        for labels, distribution in self._series.items():
            family.add_metric(labels, distribution.buckets(), distribution.sum)
        return family
