"""Signals to announce, a log to read, and the exposition's samples as a dict."""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from prometheus_client import CollectorRegistry

from relay.model import Delivered, Delivery, Event, Outcome, Reason, RoutedEvent, Verdict, Webhook
from relay.observe import LogWriter, Observer, configure_logging
from relay.signals import Attempted, Rejection, WebhookRejected, WebhookStored

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)
DELIVERED = Delivered()


class Clock:
    """Seconds since 1970; moved by the test."""

    def __init__(self) -> None:
        self.now = NOON.timestamp()

    def __call__(self) -> float:
        return self.now


class InMemory:
    """A file that is gone with its last user."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("log")

    def __del__(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def content(self) -> str:
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode()


class Observed:
    """An observer with what came of it."""

    def __init__(self, written: Literal["text", "json"] = "text", *, level: str = "debug") -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.file = InMemory()
        self.log = configure_logging(LogWriter(self.file), format=written, level=level, clock=self.clock)
        self.emit = Observer(self.registry, self.log, clock=self.clock)

    def lines(self) -> list[str]:
        """Split as the most eager reader would: at anything Unicode calls the end of a line."""
        return self.file.content().splitlines()

    def samples(self, prefix: str = "relay_") -> dict[tuple[str, ...], float]:
        """(name, label value, …) -> value; label values in the order of their names."""
        return samples(self.registry, prefix)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def samples(registry: CollectorRegistry, prefix: str = "relay_") -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith(prefix)
    }


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """configure_logging takes the root logger over; give it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def observed() -> Observed:
    return Observed()


def event(entity: str = "leads", action: str = "status") -> Event:
    return Event(
        id="e-1", source="crm", received_at=NOON, account={}, entity=entity, action=action, data={"id": 4831596}
    )


def kept(*events: Event, routes: Sequence[Sequence[str]] | None = None, unparsed: str | None = None) -> WebhookStored:
    return WebhookStored(
        webhook=Webhook(id="w-1", source="crm", received_at=NOON, body=b"a=1", request_id="r-1", unparsed=unparsed),
        routed=[
            RoutedEvent(event=each, payload=b"", routes=tuple(taken))
            for each, taken in zip(events, routes or [()] * len(events), strict=True)
        ],
        deliveries=2,
        took=1400 * MS,
    )


def refused(reason: Rejection = Rejection.UNAUTHORIZED, *, source: str = "-", detail: str = "") -> WebhookRejected:
    return WebhookRejected(source=source, reason=reason, detail=detail, remote="192.0.2.7", took=3 * MS)


def attempted(
    reason: Reason = Reason.OK,
    verdict: Verdict = DELIVERED,
    *,
    status: int | None = 200,
    detail: str = "",
    replay: bool = False,
) -> Attempted:
    return Attempted(
        delivery=Delivery(
            event_id="e-1",
            target="warehouse",
            attempt=2,
            policy_attempt=2,
            received_at=NOON,
            pending_since=NOON,
            payload=b"{}",
            replay=replay,
            entity="leads",
            entity_id="4831596",
        ),
        outcome=Outcome(reason=reason, started_at=NOON, took=12.34 * MS, status=status, detail=detail),
        verdict=verdict,
        lag=timedelta(hours=2),
    )
