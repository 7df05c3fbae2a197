"""Outcome of a request -> the verdict of each of its deliveries, and what the circuit makes of it."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime

from relay.delivery.circuit import Circuit
from relay.delivery.retry import decide
from relay.model import Delivery, Health, Outcome, Reason, Target, Verdict


class Verdicts:
    """`wake_at` is called with the time of the next probe while the circuit is open."""

    def __init__(
        self, circuit: Circuit, *, clock: Callable[[], datetime], wake_at: Callable[[datetime], object]
    ) -> None:
        self._circuit = circuit
        self._clock = clock
        self._wake_at = wake_at

    def of(
        self, deliveries: Sequence[Delivery], outcome: Outcome, target: Target, *, probe: bool, here: bool
    ) -> list[Verdict]:
        """Decide what follows for each delivery, by its own history; with one jitter: they may go together again.

        The circuit records a request that was made `here`, where the target is now.
        """
        circuit = self._circuit
        try:
            now, roll = self._clock(), random.random()  # noqa: S311  jitter
            unsent = outcome.reason is Reason.TEMPLATE and circuit.health is not Health.OK  # no more than a probe
            counts_not = probe or unsent
            verdicts = [decide(each, outcome, target, now=now, roll=roll, probe=counts_not) for each in deliveries]
            if here:
                circuit.record(outcome, target, probe=probe)
                if probe_at := circuit.probe_at:
                    self._wake_at(probe_at)
        except Exception:
            if probe and here and circuit.health is Health.PROBING:  # in which it would stay for ever
                circuit.probe_unsent()
            raise
        return verdicts
