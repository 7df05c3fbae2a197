"""The store's status, the targets' states and the spool, at a scrape -> gauges."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.model import Health
from relay.model.subscription import SubscriptionState

SAME = " The same from every relay: use max, not sum."


KEPT = 120.0  # seconds: two scrapes a minute apart may fail, and no alert begins anew


class Backlog(Protocol):
    """One target's deliveries; `store.records.TargetStatus` is one."""

    @property
    def pending(self) -> int:
        """Deliveries that are not settled."""

    @property
    def dead(self) -> int:
        """Dead deliveries."""

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest pending one arrived."""


class Spool(Protocol):
    """Where webhooks wait for a shared store; `store.records.SpoolState` is one."""

    @property
    def direct(self) -> bool:
        """Whether webhooks bypass it."""

    @property
    def webhooks(self) -> int:
        """How many wait in it."""

    @property
    def refused(self) -> int:
        """How many more are in it that the shared store did not take."""

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest one arrived."""

    @property
    def size(self) -> int:
        """Bytes of its files."""


class _Recent:
    """What was read from the store last; nothing once that is older than `KEPT`, for it may be true no more."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._read_at = 0.0
        self._families: Sequence[Metric] = ()

    def update(self, families: Sequence[Metric]) -> None:
        self._families, self._read_at = families, self._steady()

    def get(self) -> Sequence[Metric]:
        return self._families if self._steady() - self._read_at <= KEPT else ()


class Gauges(Collector):
    """Export the values of the last `update`, so that a scrape never waits for the store, for two minutes at most.

    `shared`: other relays have the same store, and say the same of it.
    """

    def __init__(
        self, registry: CollectorRegistry, *, shared: bool = False, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._recent = _Recent(steady)
        self._same = SAME if shared else ""
        registry.register(self)

    def update(
        self,
        backlog: Mapping[str, Backlog],
        target_states: Mapping[str, str],
        store_bytes: int,
        store_free_bytes: int,
        now: datetime,
        lost: int = 0,
        subscriptions: Mapping[str, str] = MappingProxyType({}),
        in_flight: Mapping[str, int] = MappingProxyType({}),
        unparsed: int = 0,
        unrouted: int = 0,
        certificate_ends_at: datetime | None = None,
    ) -> None:
        """`target_states`: each target of the routes file and its state; a target without backlog shows 0.

        `lost`: acknowledged webhooks that are missing, until somebody has accepted that. `subscriptions`: the state of
        each webhook in amoCRM that is watched, by source. `in_flight`: attempts that this relay has under way.
        A target that only `backlog` names, because the routes file no longer does, is shown without a state.
        """
        known, same = sorted(backlog.items()), self._same
        zero = [(target, 0.0) for target in sorted(target_states.keys() - backlog.keys())]
        families = (
            _by_target(
                "relay_deliveries_pending",
                f"Deliveries not yet settled.{same}",
                [(t, o.pending) for t, o in known] + zero,
            ),
            _by_target(
                "relay_deliveries_dead", f"Deliveries given up, and kept.{same}", [(t, o.dead) for t, o in known] + zero
            ),
            _by_target(
                "relay_oldest_pending_seconds",
                f"Age of the oldest pending delivery, since its event arrived; 0 if none is pending.{same}",
                [(t, _age(o.oldest_at, now)) for t, o in known] + zero,
            ),
            _states(target_states),
            _by_target("relay_attempts_in_flight", "Attempts under way, of this relay.", sorted(in_flight.items())),
            _gauge("relay_webhooks_unparsed", f"Webhooks that are stored unparsed.{same}", unparsed),
            _gauge("relay_events_unrouted", f"Stored events that no route took; 10001: more.{same}", unrouted),
            GaugeMetricFamily("relay_store_bytes", f"Size of the store.{same}", value=store_bytes),
            GaugeMetricFamily("relay_store_free_bytes", "Free space where the store is.", value=store_free_bytes),
            CounterMetricFamily(
                "relay_lost_acks_total", f"Webhooks that were answered 200 and are missing, at most.{same}", value=lost
            ),
        )
        watched = [_subscription_states(subscriptions, same)] if subscriptions else []
        ends = [_certificate(certificate_ends_at)] if certificate_ends_at else []
        self._recent.update([*families, *watched, *ends])

    def collect(self) -> Iterable[Metric]:
        """Nothing before the first `update`, and nothing that is older than two minutes."""
        return self._recent.get()


class SharedGauges(Collector):
    """Export this relay's spool, and the relays that share the store. Nothing of what there is not."""

    def __init__(self, registry: CollectorRegistry, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._of_spool: Sequence[Metric] = ()
        self._of_relays = _Recent(steady)
        registry.register(self)

    def update_spool(self, spool: Spool, now: datetime) -> None:
        """Export the spool as it is now, whether the shared store answers or not."""
        self._of_spool = (
            _gauge("relay_spool_webhooks", "Webhooks in the spool that wait for PostgreSQL.", spool.webhooks),
            _gauge("relay_spool_refused_webhooks", "Webhooks in the spool that PostgreSQL refused.", spool.refused),
            _gauge(
                "relay_spool_oldest_seconds",
                "Age of the oldest webhook in the spool that waits; 0 if none does.",
                _age(spool.oldest_at, now),
            ),
            _gauge("relay_spool_bytes", "Size of the spool.", spool.size),
            _gauge("relay_intake_direct", "1 if webhooks go to PostgreSQL, 0 if to the spool.", spool.direct),
        )

    def update_relays(
        self,
        *,
        living: int,
        configs: int,
        gone: int,
        stranded: int,
        now: datetime,
        oldest_snapshot_at: datetime | None = None,
    ) -> None:
        """`configs`: different routes of those that live; `stranded`: webhooks in spools of those that are `gone`.

        `oldest_snapshot_at`: since when somebody keeps the server of the store from vacuuming.
        """
        families = (
            _gauge("relay_relays", f"Relays that live.{SAME}", living),
            _gauge("relay_configs", f"Different routes among the relays that live.{SAME}", configs),
            _gauge("relay_relays_gone", f"Relays that are gone, with spools not known to be empty.{SAME}", gone),
            _gauge("relay_stranded_webhooks", f"Known webhooks in the spools of relays that are gone.{SAME}", stranded),
            _gauge(
                "relay_store_oldest_snapshot_seconds",
                f"Age of the oldest transaction that keeps PostgreSQL from vacuuming; 0 if there is none.{SAME}",
                _age(oldest_snapshot_at, now),
            ),
        )
        self._of_relays.update(families)

    def collect(self) -> Iterable[Metric]:
        """Nothing before the first updates."""
        return [*self._of_spool, *self._of_relays.get()]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _certificate(ends_at: datetime) -> GaugeMetricFamily:
    text = "When the certificate of the public listener ends."
    return _gauge("relay_certificate_expires_timestamp_seconds", text, ends_at.timestamp())


def _by_target(name: str, text: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["target"])
    for target, value in values:
        family.add_metric([target], value)
    return family


def _states(target_states: Mapping[str, str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("relay_target_state", "1 for the state the target is in.", labels=["target", "state"])
    for target, current in sorted(target_states.items()):
        for state in Health:
            family.add_metric([target, state], state == current)
    return family


def _subscription_states(states: Mapping[str, str], same: str) -> GaugeMetricFamily:
    text = f"1 for the state that the source's webhook in amoCRM is in.{same}"
    family = GaugeMetricFamily("relay_subscription_state", text, labels=["source", "state"])
    for source, current in sorted(states.items()):
        for state in SubscriptionState:
            family.add_metric([source, state], state == current)
    return family


def _age(oldest_at: datetime | None, now: datetime) -> float:
    return max((now - oldest_at).total_seconds(), 0) if oldest_at else 0
