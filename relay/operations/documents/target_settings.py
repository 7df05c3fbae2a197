"""How a target is delivered to, as the routes file says."""

from dataclasses import dataclass

from relay.model import RetryPolicy, Target
from relay.model.targets import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDocument:
    """Retries after `initial` seconds, each wait `factor` times the one before, at most `max`; or by `schedule`.

    Until `max_age` after the arrival, or `attempts`; at once dead with a status of `dead_on`. Lengths are in seconds.
    """

    initial: float
    factor: float
    max: float
    max_age: float
    schedule: tuple[float, ...]
    attempts: int | None
    dead_on: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettingsDocument:
    """Where and how. `url`: as it is written, secrets as `${…}`. `rate`: requests a second. `batch`: events in one.

    `breaker_failures`: after so many failures in a row the circuit opens. `timeout` is in seconds.
    """

    target: str
    method: str
    url: str
    format: str
    order: Order
    timeout: float
    concurrency: int
    rate: float | None
    batch: int | None
    breaker_failures: int
    retry: RetryDocument


def target_settings_document(target: Target, url: str) -> TargetSettingsDocument:
    """The document of a target; `url` as it is written."""
    return TargetSettingsDocument(
        target=target.name,
        method=target.method.value,
        url=url,
        format="template" if target.body else target.format.value,
        order=target.order,
        timeout=target.timeout.total_seconds(),
        concurrency=target.concurrency,
        rate=target.rate,
        batch=target.batch.most if target.batch else None,
        breaker_failures=target.breaker_failures,
        retry=_retry(target.retry, target.dead_on),
    )


def _retry(policy: RetryPolicy, dead_on: frozenset[int]) -> RetryDocument:
    return RetryDocument(
        initial=policy.initial.total_seconds(),
        factor=policy.factor,
        max=policy.max.total_seconds(),
        max_age=policy.max_age.total_seconds(),
        schedule=tuple(each.total_seconds() for each in policy.schedule),
        attempts=policy.attempts,
        dead_on=tuple(sorted(dead_on)),
    )
