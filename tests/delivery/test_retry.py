"""`relay.delivery.retry`: what follows an attempt, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.retry import LONGEST_RETRY_AFTER, decide, parse_retry_after, wait
from relay.delivery.send import reason_of_status
from relay.model import Dead, Delivered, Reason, RetryAt, RetryPolicy, Verdict
from tests.delivery.conftest import NOON, SECOND, delivery, outcome, target

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEADY = RetryPolicy(jitter=0.0)

durations = st.integers(1, 10 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
rolls = st.floats(0.0, 1.0, exclude_max=True)
policies = st.builds(
    RetryPolicy,
    initial=durations,
    factor=st.floats(1.0, 100.0),
    max=durations,
    jitter=st.floats(0.0, 1.0),
    max_age=durations,
    schedule=st.lists(durations, max_size=5).map(tuple),
    attempts=st.none() | st.integers(1, 50),
)


def after(
    policy: RetryPolicy, *, attempt: int = 1, age: timedelta = timedelta(), roll: float = 0.0, **answer: object
) -> Verdict:
    planned = delivery(attempt=attempt, policy_attempt=attempt)
    failed = outcome(**{"status": 503} | answer)
    return decide(planned, failed, target(retry=policy), now=NOON + age, roll=roll)


# ---- what kind of verdict


def test_2xx_is_delivered_dead_on_is_dead_and_every_other_status_is_repeated() -> None:
    for status in range(1000):
        answer = outcome(reason_of_status(status), status=status)
        verdict = decide(delivery(), answer, target(), now=NOON, roll=0.0)
        expected = Delivered if 200 <= status < 300 else Dead if status in target().dead_on else RetryAt
        assert isinstance(verdict, expected), status


ANSWERED_OR_UNSENT = (Reason.OK, Reason.REQUEST, Reason.TEMPLATE, Reason.CORRUPT)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in ANSWERED_OR_UNSENT])
def test_an_attempt_without_an_answer_is_repeated(reason: Reason) -> None:
    assert isinstance(decide(delivery(), outcome(reason), target(), now=NOON, roll=0.0), RetryAt)


def test_a_request_that_cannot_be_made_is_dead() -> None:
    verdict = decide(delivery(), outcome(Reason.REQUEST, detail="bad header"), target(), now=NOON, roll=0.0)
    assert verdict == Dead("the request cannot be made: bad header")


def test_what_cannot_be_rendered_is_dead_at_once_unless_the_circuit_holds_the_target() -> None:
    failed = outcome(Reason.TEMPLATE, detail="body: too large")
    assert decide(delivery(), failed, target(), now=NOON, roll=0.0) == Dead("cannot be rendered, body: too large")
    verdict = decide(delivery(policy_attempt=3), failed, target(retry=STEADY), now=NOON, roll=0.0, probe=True)
    assert verdict == RetryAt(NOON + 4 * SECOND, counted=False)


def test_what_the_disk_has_changed_is_dead_at_once() -> None:
    verdict = decide(delivery(), outcome(Reason.CORRUPT, detail="not what was kept"), target(), now=NOON, roll=0.0)
    assert verdict == Dead("not sent: not what was kept")


def test_an_attempt_without_an_access_token_does_not_count() -> None:
    once = target(retry=RetryPolicy(attempts=1))
    verdict = decide(delivery(), outcome(Reason.OAUTH2), once, now=NOON, roll=0.0)
    assert isinstance(verdict, RetryAt)
    assert not verdict.counted
    assert isinstance(decide(delivery(), outcome(Reason.CONNECT), once, now=NOON, roll=0.0), Dead)


def test_operators_say_which_statuses_are_dead() -> None:
    fussy = target(dead_on=frozenset({404}))
    assert decide(delivery(), outcome(status=404), fussy, now=NOON, roll=0.0) == Dead(
        "answered 404, which is in dead_on"
    )
    assert isinstance(decide(delivery(), outcome(status=400), fussy, now=NOON, roll=0.0), RetryAt)


def test_operators_say_which_statuses_are_delivered() -> None:
    redirecting = target(ok_on=frozenset({302}))
    verdicts = [
        decide(delivery(), outcome(Reason.REDIRECT, status=status), redirecting, now=NOON, roll=0.0)
        for status in (302, 301)
    ]
    assert verdicts[0] == Delivered()
    assert isinstance(verdicts[1], RetryAt)


# ---- how long


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (10, 1024), (11, 2048), (12, 3600), (13, 3600), (10**6, 3600)]
)
def test_pauses_double_up_to_max(attempt: int, seconds: int) -> None:
    assert wait(STEADY, attempt, roll=0.0) == timedelta(seconds=seconds)


def test_a_schedule_is_followed_step_by_step_and_then_it_is_over() -> None:
    policy = replace(STEADY, schedule=(5 * SECOND, 5 * MINUTE, 2 * HOUR))
    assert [after(policy, attempt=n) for n in (1, 2, 3)] == [
        RetryAt(NOON + 5 * SECOND),
        RetryAt(NOON + 5 * MINUTE),
        RetryAt(NOON + 2 * HOUR),
    ]
    assert after(policy, attempt=4) == Dead("4 attempts failed, the last one: answered 503")


@given(policies, st.integers(1, 10_000), rolls)
def test_no_pause_is_longer_than_the_policy_says(policy: RetryPolicy, attempt: int, roll: float) -> None:
    longest = max(policy.schedule) if policy.schedule else policy.max
    assert timedelta() <= wait(policy, attempt, roll=roll) <= longest


@given(policies, st.integers(1, 100), rolls)
def test_jitter_shortens_and_by_no_more_than_its_share(policy: RetryPolicy, attempt: int, roll: float) -> None:
    whole = wait(policy, attempt, roll=0.0)
    microsecond = timedelta(microseconds=1)
    assert whole * (1 - policy.jitter) - microsecond <= wait(policy, attempt, roll=roll) <= whole


def test_luck_changes_the_pause() -> None:
    assert wait(RetryPolicy(), 1, roll=0.5) == timedelta(seconds=1.8)


# ---- when it is over


@given(policies, st.integers(1, 60), durations, rolls, st.none() | durations)
def test_no_attempt_is_planned_past_the_end(
    policy: RetryPolicy, attempt: int, age: timedelta, roll: float, retry_after: timedelta | None
) -> None:
    now = NOON + age
    verdict = after(policy, attempt=attempt, age=age, roll=roll, retry_after=retry_after)
    if isinstance(verdict, RetryAt):
        assert now <= verdict.due_at <= NOON + policy.max_age
        assert policy.attempts is None or attempt < policy.attempts


def test_attempts_are_counted() -> None:
    policy = replace(STEADY, attempts=3)
    assert isinstance(after(policy, attempt=2), RetryAt)
    assert after(policy, attempt=3, status=None, reason=Reason.TIMEOUT) == Dead(
        "3 attempts failed, the last one: timeout"
    )


def test_a_delivery_dies_when_the_next_attempt_would_come_after_max_age() -> None:
    assert isinstance(after(STEADY, attempt=12, age=3 * DAY - HOUR - SECOND), RetryAt)
    assert after(STEADY, attempt=12, age=3 * DAY - HOUR) == Dead(
        "older than max_age after 12 attempts, the last one: answered 503"
    )


def test_a_clock_that_was_set_back_kills_nothing() -> None:
    assert after(STEADY, age=-5 * DAY) == RetryAt(NOON - 5 * DAY + 2 * SECOND)


def test_a_replay_starts_anew_though_attempts_are_numbered_on() -> None:
    replayed = delivery(attempt=41, policy_attempt=1, pending_since=NOON + 30 * DAY, replay=True)
    policy = replace(STEADY, attempts=2)
    verdict = decide(replayed, outcome(status=503), target(retry=policy), now=NOON + 30 * DAY, roll=0.0)
    assert verdict == RetryAt(NOON + 30 * DAY + 2 * SECOND)


def test_a_probe_that_failed_is_no_attempt_of_the_policys() -> None:
    policy, asked = replace(STEADY, attempts=3), delivery(attempt=9, policy_attempt=3)
    verdict = decide(asked, outcome(status=503), target(retry=policy), now=NOON, roll=0.0, probe=True)
    assert verdict == RetryAt(NOON + 4 * SECOND, counted=False)
    assert isinstance(decide(asked, outcome(status=503), target(retry=policy), now=NOON, roll=0.0), Dead)


def test_a_probe_that_is_older_than_max_age_is_dead_all_the_same() -> None:
    late = NOON + 3 * DAY
    assert isinstance(decide(delivery(), outcome(status=503), target(), now=late, roll=0.0, probe=True), Dead)


# ---- what the target asks for


def test_retry_after_delays_and_never_hastens() -> None:
    assert after(STEADY, retry_after=MINUTE) == RetryAt(NOON + MINUTE)
    assert after(STEADY, retry_after=timedelta()) == RetryAt(NOON + 2 * SECOND)


def test_retry_after_does_not_reach_past_max_age() -> None:
    assert after(STEADY, age=3 * DAY - MINUTE, retry_after=DAY) == RetryAt(NOON + 3 * DAY)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", timedelta()),
        ("120", 120 * SECOND),
        (" 7 ", 7 * SECOND),
        ("2.0", 2 * SECOND),
        ("20.000", 20 * SECOND),
        ("86400", DAY),
        ("86401", LONGEST_RETRY_AFTER),
        ("999999999", LONGEST_RETRY_AFTER),
        (format_datetime(NOON + HOUR, usegmt=True), HOUR),
        ("Sun, 22 Nov 2026 15:00:00 +0200", HOUR),
        ("Sun, 22 Nov 2026 13:00:00 -0000", HOUR),
        ("Sunday, 22-Nov-26 13:00:00 GMT", HOUR),
        (format_datetime(NOON + 400 * DAY, usegmt=True), LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_a_day(value: str, expected: timedelta) -> None:
    assert parse_retry_after(value, now=NOON) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "1e3",
        "12345678901234567890",
        "²",
        "٣",
        format_datetime(NOON - SECOND, usegmt=True),
        format_datetime(NOON, usegmt=True),
        "Sun, 99 Nov 2026 25:61:61 GMT",
        "Sun, 22 Nov 99999 13:00:00 GMT",
        "Sun, 22 Nov 2026 13:00:00 +9999",
    ],
)
def test_any_other_retry_after_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, now=NOON) is None


@given(st.text() | st.from_regex(r"(Sun, )?\d{1,5}[ -](Nov|[A-Z]\w*)[ -]\d{1,6} \d+:\d+(:\d+)? ?[+-]?\w*"))
def test_no_retry_after_does_harm(value: str) -> None:
    pause = parse_retry_after(value, now=NOON)
    assert pause is None or timedelta() <= pause <= LONGEST_RETRY_AFTER


def test_a_date_is_measured_from_now() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert parse_retry_after("Tue, 01 Jan 2030 00:00:09 GMT", now=now) == 9 * SECOND
