"""Retry policy, outcome and history -> verdict: delivered, retry at, dead. Pure: tenacity's waits and stops."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import cast

from tenacity import (
    BaseRetrying,
    RetryCallState,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_never,
    wait_chain,
    wait_exponential,
    wait_fixed,
)
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from relay.model import Dead, Delivered, Delivery, Outcome, Reason, RetryAt, RetryPolicy, Target, Verdict

LONGEST_RETRY_AFTER = timedelta(hours=24)
DELIVERED = Delivered()
_SECONDS = re.compile(r"[0-9]{1,9}(\.0{1,9})?")


def decide(
    delivery: Delivery, outcome: Outcome, target: Target, *, now: datetime, roll: float, probe: bool = False
) -> Verdict:
    """Decide what follows an attempt; `roll` in [0, 1) is the random part of jitter.

    If a `probe` fails, or if there is no access token, that attempt does not count against the retry policy of its
    delivery. A template that has no text does not end the delivery of a probe: the circuit keeps the backlog until the
    template is mended.
    """
    if outcome.reason is Reason.OK or (outcome.status in target.ok_on and outcome.reason is not Reason.ANSWER):
        return DELIVERED
    if outcome.reason is Reason.REQUEST:
        return Dead(f"the request cannot be made: {outcome.detail}")
    if outcome.reason is Reason.CORRUPT:
        return Dead(f"not sent: {outcome.detail}")
    if outcome.reason is Reason.TEMPLATE and not probe:
        return Dead(f"cannot be rendered, {outcome.detail}")
    if outcome.status in target.dead_on:
        return Dead(f"answered {outcome.status}, which is in dead_on")
    return _again(delivery, outcome, target.retry, now, roll, counted=not probe and outcome.reason is not Reason.OAUTH2)


def wait(policy: RetryPolicy, attempt: int, *, roll: float) -> timedelta:
    """The pause after attempt number `attempt` (from 1); jitter only ever shortens it."""
    seconds = _waits(policy)(_state(attempt, timedelta()))
    return timedelta(seconds=seconds * (1 - policy.jitter * roll))


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read seconds or an HTTP date (RFC 9110 §10.2.3), at most a day; None if it is neither or in the past.

    Some servers write whole seconds as `2.0`.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=int(text.partition(".")[0])), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    after = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(after, LONGEST_RETRY_AFTER) if after > timedelta() else None


def _again(
    delivery: Delivery, outcome: Outcome, policy: RetryPolicy, now: datetime, roll: float, *, counted: bool
) -> Verdict:
    attempts = delivery.policy_attempt if counted else delivery.policy_attempt - 1
    age = max(now - delivery.pending_since, timedelta())
    pause = wait(policy, max(attempts, 1), roll=roll)
    state = _state(attempts, age, upcoming=pause)
    if _attempts_spent(policy)(state):
        return Dead(f"{attempts} attempts failed, the last one: {_last(outcome)}")
    if stop_before_delay(policy.max_age)(state):
        return Dead(f"older than max_age after {attempts} attempts, the last one: {_last(outcome)}")
    if outcome.retry_after is not None:
        # Retry-After may delay the attempt, but not past max_age
        pause = min(max(pause, outcome.retry_after), policy.max_age - age)
    return RetryAt(now + pause, counted)


def _last(outcome: Outcome) -> str:
    return f"answered {outcome.status}" if outcome.status is not None else outcome.reason.value


def _state(attempt: int, age: timedelta, *, upcoming: timedelta = timedelta()) -> RetryCallState:
    """The fields that tenacity's waits and stops read; the others stay empty."""
    never_looping = cast("BaseRetrying", None)
    state = RetryCallState(never_looping, None, (), {})
    state.attempt_number = attempt
    state.start_time = 0.0
    state.outcome_timestamp = age.total_seconds()
    state.upcoming_sleep = upcoming.total_seconds()
    return state


@lru_cache(maxsize=1024)
def _waits(policy: RetryPolicy) -> wait_base:
    if policy.schedule:
        return wait_chain(*(wait_fixed(pause) for pause in policy.schedule))
    return wait_exponential(multiplier=policy.initial.total_seconds(), exp_base=policy.factor, max=policy.max)


@lru_cache(maxsize=1024)
def _attempts_spent(policy: RetryPolicy) -> stop_base:
    limits = [stop_after_attempt(policy.attempts)] if policy.attempts else []
    if policy.schedule:
        limits.append(stop_after_attempt(len(policy.schedule) + 1))
    return stop_any(*limits) if limits else stop_never
