"""One target's breaker in time: what each outcome makes of it, why it is open, and the log lines that tell of it."""

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.delivery.breaker import LONGEST_PAUSE, WELL, Breaker, asked_pause
from relay.model import Health, Outcome, Target
from relay.signals import CircuitClosed, CircuitOpened, Emit

MAX_TROUBLE = 200  # characters of an outcome's detail


class Circuit:
    """`trouble` is what the failed attempt said that made it what it is; empty once an attempt has not failed."""

    def __init__(self, *, emit: Emit, clock: Callable[[], datetime]) -> None:
        self.trouble = ""
        self._emit = emit
        self._clock = clock
        self._breaker = WELL

    @property
    def health(self) -> Health:
        """Ok, open or probing."""
        return self._breaker.health

    @property
    def well(self) -> bool:
        """Nothing failed since it last answered, and nothing is asked."""
        return self._breaker is WELL

    @property
    def held(self) -> bool:
        """Nothing but a probe may be sent."""
        return self._breaker.health is not Health.OK

    @property
    def probe_at(self) -> datetime | None:
        """From when on it may be probed, while it is open."""
        return self._breaker.probe_at

    def shut(self, target: Target) -> bool:
        """Held, and it is not yet time for a probe. If that is further away than it ever is, the clock was set back."""
        if not self.held or self.probe_at is None:
            return self.held
        longest = max(target.retry.max, LONGEST_PAUSE) if self._breaker.asked else LONGEST_PAUSE
        now = self._clock()  # first: it may move `probe_at`
        return timedelta() < self.probe_at - now <= longest

    def clock_set(self, by: timedelta) -> None:
        """The clock was set: the pause stays as long as it was."""
        self._breaker = self._breaker.clock_set(by)

    def reset(self) -> None:
        """It may be another target now: nothing is known of it."""
        self._breaker = WELL
        self.trouble = ""

    def probe(self) -> None:
        """One delivery is on its way to see whether the target answers."""
        self._breaker = self._breaker.probe()

    def unprobed(self) -> None:
        """The probe was not sent, or is wanted now."""
        self._breaker = self._breaker.unprobed(self._clock())

    def hear(self, outcome: Outcome, target: Target, *, probe: bool) -> None:
        """What this outcome, maybe the probe's, says of the target."""
        now = self._clock()
        before = self._breaker
        roll = random.random()  # noqa: S311  jitter
        after = self._breaker = before.after(outcome, target, probe=probe, now=now, roll=roll)
        if after != before or not self.held:  # else it stays open for what was said before
            self.trouble = _told(outcome, after, target) if after.failures else ""
        if (before.health is Health.OK) == self.held:
            self._tell(target)

    def _tell(self, target: Target) -> None:
        failures = self._breaker.failures or None
        if self.held:
            opened = CircuitOpened(target=target.name, failures=failures, probe_at=self.probe_at, detail=self.trouble)
            self._emit(opened)
        else:
            self._emit(CircuitClosed(target=target.name, failures=failures))


def _told(outcome: Outcome, breaker: Breaker, target: Target) -> str:
    """`5xx 503 busy`; `asked by Retry-After to wait 20 s: 429 429 slow down`, even if the breaker waits longer."""
    parts = (outcome.reason, outcome.status, outcome.detail[:MAX_TROUBLE])
    told = " ".join(str(each) for each in parts if each)
    if not breaker.asked:
        return told
    return f"asked by Retry-After to wait {math.ceil(asked_pause(outcome, target).total_seconds())} s: {told}"
