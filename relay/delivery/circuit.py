"""One target's circuit breaker over time: what each outcome makes of it, why it is open, and the signals of that."""

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.delivery.breaker import CLOSED, LONGEST_PAUSE, Breaker, requested_pause
from relay.delivery.lane_states import LaneEvent
from relay.model import Health, Outcome, Reason, Target
from relay.signals import CircuitClosed, CircuitOpened, Emit

NEW_SETTINGS = "its settings were changed"
MAX_ERROR = 200  # characters of an outcome's detail
_EVENTS = {Health.OK: LaneEvent.CLOSED, Health.OPEN: LaneEvent.OPENED, Health.PROBING: LaneEvent.PROBE_CLAIMED}


class Circuit:
    """`error` says what the last attempt that failed returned; empty once one has not failed.

    `changed` is called whenever the circuit opens, half-opens or closes.
    """

    def __init__(self, *, emit: Emit, clock: Callable[[], datetime], changed: Callable[[LaneEvent], None]) -> None:
        self.error = ""
        self._emit = emit
        self._clock = clock
        self._changed = changed
        self._breaker = CLOSED

    @property
    def health(self) -> Health:
        """Closed (OK), OPEN or half-open (PROBING)."""
        return self._breaker.health

    @property
    def clean(self) -> bool:
        """Closed, and no attempt has failed since the last one that did not."""
        return self._breaker is CLOSED

    @property
    def probe_at(self) -> datetime | None:
        """While it is open: from when on the target may be probed."""
        return self._breaker.probe_at

    def waits(self, target: Target) -> bool:
        """Open, and its pause is not over; or half-open. A pause that could not be so long means a clock set back."""
        if self.health is Health.OK or self.probe_at is None:
            return self.health is not Health.OK
        longest = max(target.retry.max, LONGEST_PAUSE) if self._breaker.requested else LONGEST_PAUSE
        now = self._clock()  # first: it may move `probe_at`
        return timedelta() < self.probe_at - now <= longest

    def clock_set(self, by: timedelta) -> None:
        """Keep the pause as long as it was although the clock was set by `by`."""
        self._breaker = self._breaker.clock_set(by)

    def hold(self, error: str, target: Target) -> None:
        """Begin open for this `error` of an earlier daemon, with a probe due now."""
        self.error = error
        self._set(self._breaker.probe_due(self._clock()))
        self._report(target)

    def reset(self, target: Target) -> None:
        """Close, and forget every failure: with the settings of `target` it may be another endpoint.

        What templates have opened is probed at once instead, as the new settings need not have mended them.
        """
        was_open = self.health is not Health.OK
        if was_open and of_templates(self.error):
            self.probe_unsent()
            return
        self.error = ""
        self._set(CLOSED)
        if was_open:
            self._emit(CircuitClosed(target=target.name, failures=None, detail=NEW_SETTINGS))

    def probe(self) -> None:
        """Half-open: one delivery is queued as the probe."""
        self._set(self._breaker.half_open())

    def probe_unsent(self) -> None:
        """Open, with a probe due now: the last one was given back unsent, or an operator wants one."""
        self._set(self._breaker.probe_due(self._clock()))

    def record(self, outcome: Outcome, target: Target, *, probe: bool) -> None:
        """Open, extend the pause, close, or count a failure, by the outcome of an attempt, maybe of the probe."""
        roll = random.random()  # noqa: S311  jitter
        now = self._clock()  # first: it may move `probe_at`
        before = self._breaker
        after = before.after(outcome, target, probe=probe, now=now, roll=roll)
        if after != before or after.health is Health.OK:  # else it stays open for the earlier error
            self.error = _error_text(outcome, after, target) if after.failures else ""
        self._set(after)
        if (before.health is Health.OK) != (after.health is Health.OK):
            self._report(target)

    def _set(self, breaker: Breaker) -> None:
        before, self._breaker = self._breaker, breaker
        if breaker.health is not before.health:
            self._changed(_EVENTS[breaker.health])

    def _report(self, target: Target) -> None:
        failures = self._breaker.failures or None
        if self.health is Health.OK:
            self._emit(CircuitClosed(target=target.name, failures=failures))
        else:
            probe_at, detail = self.probe_at, self.error
            self._emit(CircuitOpened(target=target.name, failures=failures, probe_at=probe_at, detail=detail))


def of_templates(error: str) -> bool:
    """Whether the `error` of a circuit is that templates could not be rendered."""
    return error.startswith(f"{Reason.TEMPLATE} ")


def _error_text(outcome: Outcome, breaker: Breaker, target: Target) -> str:
    """`5xx 503 busy`; `asked by Retry-After to wait 20 s: 429 slow down`, even if the pause is longer."""
    parts = (outcome.reason, outcome.status, outcome.detail[:MAX_ERROR])
    text = " ".join(dict.fromkeys(str(each) for each in parts if each))  # the reason may be the status
    if not breaker.requested:
        return text
    return f"asked by Retry-After to wait {math.ceil(requested_pause(outcome, target).total_seconds())} s: {text}"
