"""Signals -> spans -> a bounded queue -> the collector, by a thread of its own. A stage never waits for a span."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector as Series

from relay.model.trace import is_sampled
from relay.observe import spans
from relay.observe.collector import Collector
from relay.observe.otlp import Exporter, NotTaken
from relay.signals import (
    Attempted,
    ConfigActivated,
    DuplicateReceived,
    Emit,
    Endpoint,
    Signal,
    SpansLost,
    WebhookStored,
)

MOST = 16_384  # spans that wait, some 8 MB; further ones are lost
BATCH = 1_024  # spans of one request
GATHER = 1.0  # seconds that a span may wait for others
TRIES = 3  # of one request, `GATHER` apart
CLOSE_TIMEOUT = 1.5  # seconds for what waits at the end
LOSS_EVERY = 60  # requests that are lost in a row for one line


class Traces(Series):
    """A listener of signals. Lives in the event loop's thread but for the export.

    Spans of a trace that whoever began it does not sample are left out. `relay_spans_total` counts those that the
    collector took, and those that were lost: it was away, or too slow.
    """

    def __init__(self, collector: Collector, *, emit: Emit, registry: CollectorRegistry) -> None:
        self._exporter = Exporter(collector)
        self._emit = emit
        self._endpoints: Mapping[str, Endpoint] = {}
        self._queue: deque[bytes] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._overflowed = 0  # of the event loop's thread, the others of the exporting one: series have no lock
        self._exported = self._refused = 0
        self._lost_in_a_row = 0
        registry.register(self)

    def beside(self, emit: Emit) -> Emit:
        """Return what calls `emit`, then this."""

        def both(signal: Signal) -> None:
            emit(signal)
            self(signal)

        return both

    def __call__(self, signal: Signal) -> None:
        """Queue the spans of a signal, if it has some."""
        try:
            made = self._spans(signal)
            if made is None:
                return
            if len(self._queue) >= MOST:
                self._overflowed += 1 if isinstance(signal, Attempted) else 2
                return
            self._queue.extend(made)
        except Exception:  # noqa: BLE001  a stage must not fail over a span
            self._overflowed += 1
        if len(self._queue) >= BATCH and not self._wake.is_set():
            self._wake.set()

    def _spans(self, signal: Signal) -> Iterator[bytes] | None:
        """Return them, encoded only once they are asked for."""
        match signal:
            case Attempted(delivery=delivery):
                if is_sampled(delivery.trace):
                    return spans.of_attempt(signal, self._endpoints.get(delivery.target))
            case WebhookStored(webhook=webhook):
                if not webhook.traceparent or is_sampled(webhook.traceparent):
                    return spans.of_stored(signal)
            case DuplicateReceived(webhook=webhook):
                if not webhook.traceparent or is_sampled(webhook.traceparent):
                    return spans.of_duplicate(signal)
            case ConfigActivated(endpoints=endpoints):
                self._endpoints = endpoints
        return None

    # ---- the thread

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Export from a thread for as long as the block lasts; what waits then has `CLOSE_TIMEOUT`."""
        thread = threading.Thread(target=self._run, name="relay-spans", daemon=True)  # the collector may hang
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._wake.set()
            thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(GATHER)
            self._wake.clear()
            self._export_queued()
        self._export_queued()

    def _export_queued(self) -> None:
        while batch := [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]:
            self._export(batch)

    def _export(self, batch: list[bytes]) -> None:
        for left in reversed(range(TRIES)):
            try:
                self._exporter.export(batch)
            except NotTaken as error:
                if left and error.again and not self._stopping.wait(GATHER):
                    continue
                self._lose(len(batch), str(error))
            else:
                self._exported += len(batch)
                self._lost_in_a_row = 0
            return

    def _lose(self, number: int, why: str) -> None:
        self._refused += number
        if self._lost_in_a_row % LOSS_EVERY == 0:
            self._emit(SpansLost(spans=number, why=why))
        self._lost_in_a_row += 1

    # ---- what became of them

    def collect(self) -> Iterable[Metric]:
        """Count the spans by what became of them; those that wait are in neither."""
        family = CounterMetricFamily(
            "relay_spans_total", "Spans, by whether a collector took them.", labels=["outcome"]
        )
        family.add_metric(["exported"], self._exported)
        family.add_metric(["lost"], self._overflowed + self._refused)
        return [family]
