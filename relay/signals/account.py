"""Facts about amoCRM's own API that `relay.account` announces; part of `signals.Signal`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from relay.model import frozen
from relay.model.heal import HealState
from relay.model.subscription import SubscriptionState


class AccountOutcome(StrEnum):
    """How one request to an account ended; the class of `errors.AccountError`, or `OK`."""

    OK = "ok"
    AWAY = "away"
    LIMITED = "limited"
    UNAUTHORIZED = "unauthorized"
    UNPAID = "unpaid"
    FORBIDDEN = "forbidden"
    BLOCKED = "blocked"
    REFUSED = "refused"


@frozen
class AccountAsked:
    """A request was sent to an account, and ended so."""

    account: str
    outcome: AccountOutcome


@frozen
class AccountBlocked:
    """An account answers 403 without a reason: nothing more is asked until `relay account check`."""

    account: str
    detail: str


@frozen
class AccountRenamed:
    """An account has another host than the routes file says."""

    account: str
    host: str


@frozen
class AccountTokenRead:
    """The account has a token, or a grant, until `expires_at`; None if that is not known."""

    account: str
    expires_at: datetime | None


TOKEN_WARNED_OF = (30, 7, 1, 0)
"""Days that are left of a long-lived token, each announced once."""


@frozen
class AccountTokenEnds:
    """The long-lived token of an account ends within so many days, one of `TOKEN_WARNED_OF`; 0 if it has ended."""

    account: str
    days: int
    expires_at: datetime


@frozen
class AccountGrantLost:
    """An account has no OAuth grant, or amoCRM refuses to renew it; its last token serves until `ends_at`."""

    account: str
    detail: str
    ends_at: datetime | None


class Healed(NamedTuple):
    """How many events of an action ended in a state; `exactness`: see `heal.Exactness`."""

    action: str
    exactness: str
    state: HealState
    number: int


@frozen
class SourceScanned:
    """The account's feed was read for a source, and what was old enough was decided.

    `late`: events that came into the feed after it was read; `orphans`: webhooks that it turned out to know nothing of,
    and `stopped`: what is not healed while there are some of the last hour. `differences`: of times in webhooks from
    those of the feed, in seconds, and `drift`: what matching allows for from now on, if that is more than before.
    `expired`: how many waited for an approval until they were given up. `scanned_upto`: it is read completely up to
    then.
    """

    source: str
    verdicts: Sequence[Healed]
    late: int
    orphans: int
    stopped: Sequence[str]
    differences: Sequence[float]
    drift: float | None
    expired: int
    scanned_upto: datetime | None


@frozen
class SubscriptionChanged:
    """The webhook of a source in amoCRM is in another state than `before`; None: it was never looked at.

    `detail`: what is wrong, and what to do.
    """

    source: str
    state: SubscriptionState
    before: SubscriptionState | None
    detail: str | None


@frozen
class SubscriptionReenabled:
    """The guard has switched the webhook of a source on again."""

    source: str


@frozen
class RouteStopped:
    """A route takes nothing, because names in it cannot be resolved; what it may take waits."""

    route: str
    why: str


@frozen
class RoutesResumed:
    """Routes that were stopped take events again; those since then got so many deliveries."""

    routes: Sequence[str]
    deliveries: int


@frozen
class NameOutdated:
    """A name in the routes file was changed in amoCRM, or is gone there; `detail` says where, and what to write."""

    detail: str


@frozen
class NamesNotRefreshed:
    """The names of an account could not be asked for: those in the cache go on."""

    account: str
    detail: str


class EnrichOutcome(StrEnum):
    """How it ended that something was to be fetched beside an event. `GONE`: amoCRM has nothing of it any more."""

    FETCHED = "fetched"
    GONE = "gone"
    LATE = "late"
    FAILED = "failed"


@frozen
class Enriched:
    """What was fetched beside an event, or that it was not, is recorded, so long after it was stored."""

    account: str
    outcome: EnrichOutcome
    took: timedelta


AccountSignal: TypeAlias = (
    Enriched
    | AccountAsked
    | AccountBlocked
    | AccountRenamed
    | AccountTokenRead
    | AccountTokenEnds
    | AccountGrantLost
    | SourceScanned
    | SubscriptionChanged
    | SubscriptionReenabled
    | RouteStopped
    | RoutesResumed
    | NameOutdated
    | NamesNotRefreshed
)
