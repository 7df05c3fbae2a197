"""How far the times in webhooks are from those of the account's history, and how far they may be for both to match.

Of the few that were seen they were equal. An account where they differ by more than `DRIFT` would have each change sent
twice, so what is seen widens it: never less than before, and to `WIDEST` at most.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from relay.account.heal.channels import ACCOUNT
from relay.account.heal.limits import DRIFT, WIDEST
from relay.model.heal import HealRecord, Hook, StoredHook

SHARE = 0.999
"""Of the differences that were seen, which must be within reach."""
SLACK = timedelta(seconds=2)
MARK = "drift"
"""The mark that has it, as a time after 1970: a mark never moves back."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATED = frozenset({"leads.status", "leads.responsible", "leads.restore"})
_MOST_SEEN = 5_000


class Differences:
    """The latest differences of one source, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_MOST_SEEN)

    def see(self, found: Iterable[float]) -> None:
        """Take new ones."""
        self._seen.extend(found)

    def within(self) -> timedelta:
        """How far apart two times may be that match."""
        if not self._seen:
            return DRIFT
        in_order = sorted(self._seen)
        reached = timedelta(seconds=in_order[min(int(SHARE * len(in_order)), len(in_order) - 1)])
        return min(max(DRIFT, reached + SLACK), WIDEST) if reached > DRIFT else DRIFT


def is_dated(hook: Hook) -> bool:
    """Whether the time in a webhook's body is that of its change."""
    return hook.at is not None and hook.channel == ACCOUNT and hook.key.partition(":")[0] in _DATED


def differences(records: Iterable[HealRecord], hooks: Iterable[StoredHook], *, upto: datetime) -> list[float]:
    """From each webhook up to `upto`, by the time in its body, to the nearest event with its key, in seconds.

    Of the webhook, as it has an event whatever was lost; of an event the nearest webhook may be another change's.
    """
    at: dict[str, list[datetime]] = {}
    for record in records:
        at.setdefault(record.key, []).append(record.at)
    found = []
    for each in hooks:
        hook = each.hook
        if is_dated(hook) and hook.at is not None and hook.at <= upto and hook.key in at:
            nearest = min(abs(hook.at - event) for event in at[hook.key])
            if nearest <= WIDEST:
                found.append(nearest.total_seconds())
    return found


def as_mark(drift: timedelta) -> datetime:
    """The mark of a drift."""
    return _EPOCH + drift


def of_mark(mark: datetime | None) -> timedelta:
    """The drift of a mark; `DRIFT` without one."""
    return DRIFT if mark is None else mark - _EPOCH
