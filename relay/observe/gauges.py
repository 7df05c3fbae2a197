"""The store's status and the targets' states, at a scrape -> backlog gauges."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.model import Health


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
    """The spool before the store; `store.records.SpoolState` is one."""

    @property
    def direct(self) -> bool:
        """Whether webhooks go to the store, and not to the spool."""

    @property
    def webhooks(self) -> int:
        """How many it has yet to forward."""

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest of them arrived."""

    @property
    def size(self) -> int:
        """The bytes of its files."""

    @property
    def refused(self) -> int:
        """How many are set apart, because the store refuses them."""


class Gauges(Collector):
    """Export the values of the last `update`, so that a scrape never waits for the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families: Sequence[Metric] = ()
        self._of_spool: Sequence[Metric] = ()
        registry.register(self)

    def update(
        self,
        backlog: Mapping[str, Backlog],
        target_states: Mapping[str, str],
        store_bytes: int,
        store_free_bytes: int,
        now: datetime,
        lost: int = 0,
    ) -> None:
        """`target_states`: each target of the routes file and its state; a target without backlog shows 0.

        `lost`: acknowledged webhooks that are missing, until somebody has accepted that.
        A target that only `backlog` names, because the routes file no longer does, is shown without a state.
        """
        owing = sorted(backlog.items())
        zero = [(target, 0.0) for target in sorted(target_states.keys() - backlog.keys())]
        self._families = (
            _by_target("relay_deliveries_pending", "Deliveries still owed.", [(t, o.pending) for t, o in owing] + zero),
            _by_target(
                "relay_deliveries_dead", "Deliveries given up, and kept.", [(t, o.dead) for t, o in owing] + zero
            ),
            _by_target(
                "relay_oldest_pending_seconds",
                "Age of the oldest pending delivery, since its event arrived; 0 if none is pending.",
                [(t, _age(o.oldest_at, now)) for t, o in owing] + zero,
            ),
            _states(target_states),
            GaugeMetricFamily("relay_store_bytes", "Size of the store.", value=store_bytes),
            GaugeMetricFamily("relay_store_free_bytes", "Free space where the store is.", value=store_free_bytes),
            CounterMetricFamily(
                "relay_lost_acks_total", "Webhooks that were answered 200 and are missing, at most.", value=lost
            ),
        )

    def update_spool(self, spool: Spool, now: datetime) -> None:
        """Export the spool's state, too. A relay without one never calls this."""
        self._of_spool = (
            GaugeMetricFamily("relay_intake_direct", "1 while webhooks bypass the spool, else 0.", value=spool.direct),
            GaugeMetricFamily("relay_spool_webhooks", "Webhooks still to be forwarded.", value=spool.webhooks),
            GaugeMetricFamily(
                "relay_spool_oldest_seconds",
                "Age of the oldest webhook that is to be forwarded; 0 if there is none.",
                value=_age(spool.oldest_at, now),
            ),
            GaugeMetricFamily("relay_spool_bytes", "Size of the spool.", value=spool.size),
            GaugeMetricFamily(
                "relay_spool_refused_webhooks",
                "Webhooks set apart in the spool, because the shared store refuses them.",
                value=spool.refused,
            ),
        )

    def collect(self) -> Iterable[Metric]:
        """Nothing before the first `update`."""
        return (*self._families, *self._of_spool)


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


def _age(oldest_at: datetime | None, now: datetime) -> float:
    return max((now - oldest_at).total_seconds(), 0) if oldest_at else 0
