"""`relay.delivery.breaker`: when the circuit opens, half-opens and closes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.delivery.breaker import LONGEST_PAUSE, Breaker
from relay.model import Health, Outcome, Reason, RetryPolicy, Target
from tests.delivery.conftest import NOON, SECOND, outcome, target

WELL = outcome(Reason.OK, status=200)
FAILS = outcome(status=503)
SILENT = outcome(Reason.TIMEOUT)
DEAD = outcome(Reason.CLIENT_ERROR, status=410)
UNSENT = outcome(Reason.REQUEST)
CORRUPT = outcome(Reason.CORRUPT)
UNRENDERED = outcome(Reason.TEMPLATE)
TOKENLESS = outcome(Reason.OAUTH2)

PATIENT = target(breaker_failures=3, retry=RetryPolicy(initial=2 * SECOND, factor=4.0, jitter=0.0))

NEARLY = Breaker(failures=2)
OPEN = Breaker(health=Health.OPEN, failures=3, probes=1, probe_at=NOON + 2 * SECOND)
PROBING = OPEN.half_open()


def after(breaker: Breaker, *outcomes: Outcome, probe: bool = False, of: Target = PATIENT) -> Breaker:
    for each in outcomes:
        breaker = breaker.after(each, of, probe=probe, now=NOON, roll=0.0)
    return breaker


@pytest.mark.parametrize(
    ("before", "what", "probe", "expected"),
    [
        (Breaker(), FAILS, False, Breaker(failures=1)),
        (Breaker(), WELL, False, Breaker()),
        (Breaker(), UNSENT, False, Breaker()),
        (NEARLY, UNSENT, False, NEARLY),
        (NEARLY, CORRUPT, False, NEARLY),
        (NEARLY, WELL, False, Breaker()),
        (NEARLY, DEAD, False, Breaker()),
        (Breaker(), TOKENLESS, False, replace(OPEN, failures=1)),  # no other delivery would get a token
        (OPEN, TOKENLESS, False, OPEN),
        (PROBING, TOKENLESS, False, PROBING),
        (PROBING, TOKENLESS, True, Breaker(health=Health.OPEN, failures=4, probes=2, probe_at=NOON + 8 * SECOND)),
        (NEARLY, FAILS, False, OPEN),
        (NEARLY, SILENT, False, OPEN),
        (NEARLY, UNRENDERED, False, OPEN),
        (OPEN, UNRENDERED, False, OPEN),
        (PROBING, UNRENDERED, False, PROBING),
        (PROBING, UNRENDERED, True, Breaker(health=Health.OPEN, failures=4, probes=2, probe_at=NOON + 8 * SECOND)),
        (OPEN, FAILS, False, OPEN),
        (OPEN, UNSENT, False, OPEN),
        (OPEN, WELL, False, Breaker()),
        (OPEN, DEAD, False, Breaker()),
        (PROBING, FAILS, False, PROBING),
        (PROBING, WELL, False, Breaker()),
        (PROBING, WELL, True, Breaker()),
        (PROBING, DEAD, True, Breaker()),
        (PROBING, FAILS, True, Breaker(health=Health.OPEN, failures=4, probes=2, probe_at=NOON + 8 * SECOND)),
        (PROBING, UNSENT, True, Breaker(health=Health.OPEN, failures=3, probes=1, probe_at=NOON)),
        (PROBING, CORRUPT, True, Breaker(health=Health.OPEN, failures=3, probes=1, probe_at=NOON)),
        (Breaker(), FAILS, True, Breaker(failures=1)),  # another answer closed it while the probe was on its way
        (OPEN, FAILS, True, OPEN),
    ],
)
def test_every_state_takes_every_outcome(before: Breaker, what: Outcome, probe: bool, expected: Breaker) -> None:
    assert after(before, what, probe=probe) == expected


def test_only_failures_in_a_row_open_it() -> None:
    assert after(Breaker(), FAILS, SILENT, WELL, FAILS, FAILS).health is Health.OK
    assert after(Breaker(), FAILS, SILENT, FAILS).health is Health.OPEN


def test_answers_in_dead_on_never_open_it() -> None:
    assert after(Breaker(), *[DEAD] * 100) == Breaker()


def test_answers_in_ok_on_never_open_it_and_close_it() -> None:
    redirecting = target(ok_on=frozenset({302}), breaker_failures=1)
    for before, probe in ((Breaker(), False), (Breaker(health=Health.PROBING, failures=10), True)):
        said = outcome(Reason.REDIRECT, status=302)
        assert before.after(said, redirecting, probe=probe, now=NOON, roll=0.0) == Breaker()


def test_a_target_that_only_redirects_opens_it_too() -> None:
    assert after(Breaker(), *[outcome(Reason.REDIRECT, status=301)] * 3).health is Health.OPEN


def test_probes_come_at_the_pace_of_the_targets_policy_but_at_least_every_minute() -> None:
    breaker, pauses = after(Breaker(), *[FAILS] * 3), []
    for _ in range(6):
        assert breaker.probe_at is not None
        pauses.append((breaker.probe_at - NOON).total_seconds())
        breaker = after(breaker.half_open(), FAILS, probe=True)
    assert pauses == [2, 8, 32, 60, 60, 60]


def test_probes_have_jitter() -> None:
    jittery = target(breaker_failures=1, retry=RetryPolicy(initial=10 * SECOND, jitter=0.5))
    breaker = Breaker().after(FAILS, jittery, probe=False, now=NOON, roll=0.5)
    assert breaker.probe_at == NOON + timedelta(seconds=7.5)


def test_a_minute_is_the_longest_pause() -> None:
    assert timedelta(minutes=1) == LONGEST_PAUSE
