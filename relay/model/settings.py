"""What operators write in the routes file: sources, targets, retry policies, retention."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from relay.model.secret import Secret
from relay.model.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A named place webhooks come in. `accounts`: the ids and subdomains that are accepted; empty for any.

    `dedupe`: equal bodies within this time are one webhook; None: only bodies that carry the time of their change.
    """

    name: str
    tokens: tuple[Secret, ...]
    accounts: frozenset[str] = frozenset()
    dedupe: timedelta | None = None

    def refusal(self, account: Mapping[str, Json]) -> str | None:
        """Why this account may not send here; None if it may."""
        if not self.accounts:
            return None
        names = {str(account[key]) for key in ("id", "subdomain") if key in account}
        if names & self.accounts:
            return None
        return f"account {' or '.join(sorted(names)) or '(none named)'} is not in accounts of {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to retry: exponential backoff, or by `schedule`; until `attempts` or `max_age` is reached."""

    initial: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    max: timedelta = timedelta(hours=1)
    jitter: float = 0.2
    max_age: timedelta = timedelta(days=3)
    schedule: tuple[timedelta, ...] = ()
    attempts: int | None = None


class Order(StrEnum):
    """Order of deliveries. `ENTITY`: one at a time per lead, contact, …, in the order of arrival."""

    NONE = "none"
    ENTITY = "entity"


class Format(StrEnum):
    """Body of a delivery: the event as JSON, CloudEvents 1.0 around it, or amoCRM's own form."""

    JSON = "json"
    CLOUDEVENTS = "cloudevents"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files for connections to a target: a CA beside the system's; client certificate and key, both or neither.

    `digest` is the hash of the files' contents when they were read.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An HTTP endpoint we deliver to. `rate`: attempts per second, None for no limit.

    A status in `ok_on` means delivered, as 2xx does; `ok_on` and `dead_on` are disjoint.
    """

    name: str
    url: str = field(repr=False)  # may hold a secret
    headers: Mapping[str, Secret] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = 8
    retry: RetryPolicy = RetryPolicy()
    dead_on: frozenset[int] = frozenset({400, 410, 413, 414, 415, 422})
    ok_on: frozenset[int] = frozenset()
    order: Order = Order.NONE
    rate: float | None = None
    format: Format = Format.JSON
    breaker_failures: int = 10
    tls: Tls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long finished records are kept; None for ever.

    The age of a delivery counts from when it was delivered or died, of unrouted events and unparsed webhooks from their
    arrival. A webhook is deleted together with its events and deliveries.
    """

    delivered: timedelta | None = timedelta(days=30)
    dead: timedelta | None = timedelta(days=90)
    unrouted: timedelta | None = timedelta(days=30)
    unparsed: timedelta | None = timedelta(days=90)


def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses, which no other machine can reach."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
