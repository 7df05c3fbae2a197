"""One target's health -> may we try now. Pure: a value, and what each outcome makes of it.

ok ──`failures` in a row──▶ open ──probe_at──▶ probing ──answers──▶ ok
                             ▲                   │
                             └────────fails──────┘   the next probe comes later, at most a minute

A 429 or 503 with Retry-After opens it at once, until then.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.delivery.retry import wait
from relay.model import Health, Outcome, Reason, Target

LONGEST_PAUSE = timedelta(minutes=1)
BUSY = frozenset(
    {429, 503}
)  # the statuses whose Retry-After speaks of the whole target (RFC 6585 §4, RFC 9110 §15.6.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """`failures` in a row so far, `probes` since it opened; `probe_at` while it is open.

    `asked`: the target itself has named that time.
    """

    health: Health = Health.OK
    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None
    asked: bool = False

    def probe(self) -> "Breaker":
        """One delivery is on its way to see whether the target answers."""
        return replace(self, health=Health.PROBING, probe_at=None, asked=False)

    def unprobed(self, now: datetime) -> "Breaker":
        """The probe was not sent: another may be, now."""
        return replace(self, health=Health.OPEN, probe_at=now, asked=False)

    def clock_set(self, by: timedelta) -> "Breaker":
        """The clock by which `probe_at` was told shows so much more now."""
        return replace(self, probe_at=self.probe_at + by) if self.probe_at else self

    def after(self, outcome: Outcome, target: Target, *, probe: bool, now: datetime, roll: float) -> "Breaker":
        """What the outcome of an attempt, maybe the probe, says of the target.

        A target that answers, be it with a status of `dead_on`, is well. While it is held only the probe's failure
        counts: the others began before. `roll` in [0, 1) is the luck that jitter needs.
        """
        if (asked := asked_pause(outcome, target)) and (self.health is not Health.PROBING or probe):
            return self._wait(asked, target, now=now, roll=roll)
        if self.asked and not probe:  # it began before the target asked for a pause
            return self
        if outcome.reason is Reason.OK or outcome.status in target.ok_on | target.dead_on:
            return WELL
        if self.health is Health.OPEN or (self.health is Health.PROBING and not probe):
            return self
        if outcome.reason in (Reason.REQUEST, Reason.CORRUPT):  # nothing was sent
            return self if self.health is Health.OK else self.unprobed(now)
        failures = self.failures + 1
        if self.health is Health.OK and failures < target.breaker_failures:
            return replace(self, failures=failures)
        return self._open(self._pause(target, roll), now=now)

    def _wait(self, asked: timedelta, target: Target, *, now: datetime, roll: float) -> "Breaker":
        """The target has asked for a pause. One that is open already stays so until the later of the two times."""
        if self.health is Health.OPEN:
            later = self.probe_at is None or self.probe_at < now + asked
            return replace(self, probe_at=now + asked, asked=True) if later else self
        fails = self.health is Health.PROBING or self.failures + 1 >= target.breaker_failures
        pause = self._pause(target, roll) if fails else timedelta()
        return replace(self._open(max(asked, pause), now=now), asked=True)

    def _open(self, pause: timedelta, *, now: datetime) -> "Breaker":
        return Breaker(health=Health.OPEN, failures=self.failures + 1, probes=self.probes + 1, probe_at=now + pause)

    def _pause(self, target: Target, roll: float) -> timedelta:
        return min(wait(target.retry, self.probes + 1, roll=roll), LONGEST_PAUSE)


def asked_pause(outcome: Outcome, target: Target) -> timedelta:
    """How long the target asks to be left alone, within its policy's `max`; nothing, or zero, if it does not."""
    if outcome.status not in BUSY - target.ok_on or outcome.retry_after is None:
        return timedelta()
    return min(outcome.retry_after, target.retry.max)


WELL = Breaker()
"""Of a target that answers: nothing failed, nothing is asked."""
