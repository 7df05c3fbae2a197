"""The circuit breaker of one target: state and outcome of an attempt -> next state. Pure.

closed ──`failures` in a row──▶ open ──probe_at──▶ half-open ──target answers──▶ closed
(OK)                            (OPEN)             (PROBING)
                                 ▲ │                  │
                                 │ └─late answer──────┼──────────────────────▶ closed
                                 └────probe fails─────┘   the pauses grow up to a minute

Late answer: to an attempt that began before the circuit opened; it counts unless the target named a time. A 429 or 503
with Retry-After opens the circuit at once, until that time; so does an attempt without an access token, as no other
delivery would get one. Templates that have no text for `failures` events in a row open it, too: the fault is then in
the routes file, and the rest of the backlog waits for a mended one.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.delivery.retry import wait
from relay.model import Health, Outcome, Reason, Target

LONGEST_PAUSE = timedelta(minutes=1)
# the statuses whose Retry-After speaks of the whole target (RFC 6585 §4, RFC 9110 §15.6.4)
TARGET_BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """`failures` in a row, `probes` since it opened; `probe_at` is set while it is open.

    `requested`: the target itself has named that time.
    """

    health: Health = Health.OK
    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None
    requested: bool = False

    def half_open(self) -> "Breaker":
        """One delivery is claimed as the probe; nothing else is sent."""
        return replace(self, health=Health.PROBING, probe_at=None, requested=False)

    def probe_due(self, now: datetime) -> "Breaker":
        """Open, and a probe may be sent at once: the last one was not sent."""
        return replace(self, health=Health.OPEN, probe_at=now, requested=False)

    def clock_set(self, by: timedelta) -> "Breaker":
        """Move `probe_at` with a clock that was set by `by`."""
        return replace(self, probe_at=self.probe_at + by) if self.probe_at else self

    def after(self, outcome: Outcome, target: Target, *, probe: bool, now: datetime, roll: float) -> "Breaker":
        """The state after an attempt, maybe the probe.

        An answer of the target closes the circuit, be it with a status of `dead_on`. Unless the circuit is closed
        only the probe's failure counts: other attempts began before it opened. `roll` in [0, 1) is the random part of
        jitter.
        """
        if (pause := requested_pause(outcome, target)) and (self.health is not Health.PROBING or probe):
            return self._open_on_request(pause, target, now=now, roll=roll)
        if self.requested and not probe:  # the attempt began before the target named a time
            return self
        if outcome.reason is Reason.OK or (
            outcome.status in target.ok_on | target.dead_on and outcome.reason is not Reason.ANSWER
        ):
            return CLOSED
        if self.health is Health.OPEN or (self.health is Health.PROBING and not probe):
            return self
        if outcome.reason in (Reason.REQUEST, Reason.CORRUPT):  # nothing was sent
            return self if self.health is Health.OK else self.probe_due(now)
        failures = self.failures + 1
        if self.health is Health.OK and failures < target.breaker_failures and outcome.reason is not Reason.OAUTH2:
            return replace(self, failures=failures)
        return self._open(self._pause(target, roll), now=now)

    def _open_on_request(self, pause: timedelta, target: Target, *, now: datetime, roll: float) -> "Breaker":
        """Open for the pause that the target asks for; if it is open, until the later of the two times."""
        if self.health is Health.OPEN:
            later = self.probe_at is None or self.probe_at < now + pause
            return replace(self, probe_at=now + pause, requested=True) if later else self
        fails = self.health is Health.PROBING or self.failures + 1 >= target.breaker_failures
        longer = max(pause, self._pause(target, roll)) if fails else pause
        return replace(self._open(longer, now=now), requested=True)

    def _open(self, pause: timedelta, *, now: datetime) -> "Breaker":
        return Breaker(health=Health.OPEN, failures=self.failures + 1, probes=self.probes + 1, probe_at=now + pause)

    def _pause(self, target: Target, roll: float) -> timedelta:
        return min(wait(target.retry, self.probes + 1, roll=roll), LONGEST_PAUSE)


def requested_pause(outcome: Outcome, target: Target) -> timedelta:
    """The pause that the target asks for by Retry-After, within its policy's `max`; zero if it asks for none.

    Also in an answer that `ok_if` rejects: some services say with a 200 that they are busy.
    """
    busy = outcome.status in TARGET_BUSY - target.ok_on or outcome.reason is Reason.ANSWER
    if not busy or outcome.retry_after is None:
        return timedelta()
    return min(outcome.retry_after, target.retry.max)


CLOSED = Breaker()
"""Closed, without a failure since the last success."""
