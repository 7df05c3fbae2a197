"""How far the times in webhooks are from those of the account's history, and how far they may be for both to match.

Of the few that were seen they were equal. An account where they differ by more than `DRIFT` would have each change sent
twice, so what is seen widens it, to `WIDEST` at most. Nothing of it is stored: what is matched is seen first.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial

from relay.account.heal.channels import ACCOUNT
from relay.account.heal.limits import DRIFT, WIDEST
from relay.model.heal import HealRecord, Hook, StoredHook

SHARE = 0.999
"""Of the differences that were seen, which must be within reach."""
SLACK = timedelta(seconds=2)
_DATED = frozenset({"leads.status", "leads.responsible", "leads.restore"})
_MOST_SEEN = 5_000


class Differences:
    """The latest differences of one source, in seconds; `within`: how far apart two times may be that match."""

    def __init__(self) -> None:
        self.within = DRIFT
        self._seen: deque[float] = deque(maxlen=_MOST_SEEN)

    def see(self, found: Iterable[float]) -> bool:
        """Take new ones; True if more is allowed for than before."""
        before = self.within
        self._seen.extend(found)
        in_order = sorted(self._seen)
        reached = timedelta(seconds=in_order[min(int(SHARE * len(in_order)), len(in_order) - 1)] if in_order else 0)
        if reached > DRIFT:
            self.within = max(before, min(reached + SLACK, WIDEST))
        return self.within > before


def is_dated(hook: Hook) -> bool:
    """Whether the time in a webhook's body is that of its change."""
    return hook.at is not None and hook.channel == ACCOUNT and hook.key.partition(":")[0] in _DATED


def differences(
    records: Collection[HealRecord], others: Iterable[HealRecord], hooks: Iterable[StoredHook]
) -> list[float]:
    """From the time in each webhook's body to the nearest event with its key, in seconds, if that is among `records`.

    `others`: events of other scans. Of the webhook, as it has an event whatever was lost; of an event the nearest
    webhook may be another change's.
    """
    of_key: defaultdict[str, list[HealRecord]] = defaultdict(list)
    for record in (*records, *others):
        of_key[record.key].append(record)
    counted = {each.event_id for each in records}
    found = []
    for each in hooks:
        hook = each.hook
        if hook.at is not None and is_dated(hook) and of_key[hook.key]:
            nearest = min(of_key[hook.key], key=partial(_apart, hook.at))
            apart = _apart(hook.at, nearest)
            if nearest.event_id in counted and apart <= WIDEST:
                found.append(apart.total_seconds())
    return found


def _apart(at: datetime, record: HealRecord) -> timedelta:
    return abs(at - record.at)
