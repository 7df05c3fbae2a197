"""One target's health -> may we try now. Pure: a value, and what each outcome makes of it.

ok ──`failures` in a row──▶ open ──probe_at──▶ probing ──answers──▶ ok
                             ▲                   │
                             └────────fails──────┘   the next probe comes later, at most a minute
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from relay.delivery.retry import wait
from relay.model import Outcome, Reason, Target

LONGEST_PAUSE = timedelta(minutes=1)


class Health(StrEnum):
    """The states of `relay_target_state`."""

    OK = "ok"
    OPEN = "open"
    PROBING = "probing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """`failures` in a row so far, `probes` since it opened; `probe_at` while it is open."""

    health: Health = Health.OK
    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None

    def probe(self) -> "Breaker":
        """One delivery is on its way to see whether the target answers."""
        return replace(self, health=Health.PROBING, probe_at=None)

    def unprobed(self, now: datetime) -> "Breaker":
        """The probe was not sent: another may be, now."""
        return replace(self, health=Health.OPEN, probe_at=now)

    def after(self, outcome: Outcome, target: Target, *, probe: bool, now: datetime, roll: float) -> "Breaker":
        """What the outcome of an attempt, maybe the probe, says of the target.

        A target that answers, be it with a status of `dead_on`, is well. While it is held only the probe's failure
        counts: the others began before. `roll` in [0, 1) is the luck that jitter needs.
        """
        if outcome.reason is Reason.OK or outcome.status in target.ok_on | target.dead_on:
            return Breaker()
        if self.health is Health.OPEN or (self.health is Health.PROBING and not probe):
            return self
        if outcome.reason in (Reason.REQUEST, Reason.CORRUPT):  # nothing was sent
            return self if self.health is Health.OK else self.unprobed(now)
        failures = self.failures + 1
        if self.health is Health.OK and failures < target.breaker_failures:
            return replace(self, failures=failures)
        pause = min(wait(target.retry, self.probes + 1, roll=roll), LONGEST_PAUSE)
        return Breaker(health=Health.OPEN, failures=failures, probes=self.probes + 1, probe_at=now + pause)
