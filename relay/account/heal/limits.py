"""A source's `heal:` -> how long its webhooks may be on the way, and how old a change is when one counts as lost.

amoCRM repeats an account-level webhook 5 and 20 minutes after a failed answer, after 499 and 5xx also after 35 and 95;
a trigger's webhook it sends once. Kommo repeats that within an hour (their pages on webhooks, 2026).
"""

from datetime import timedelta
from typing import NamedTuple

from relay.model.accounts import Heal

DRIFT = timedelta(seconds=5)
"""How far the time in a lead's webhook may be from that of the feed's event; the few that were seen were equal."""
WIDEST = timedelta(seconds=60)
"""What of that is believed at most, where an account shows more: see `drift`."""
REPEATS = tuple(timedelta(minutes=each) for each in (5, 20, 35, 95))
"""When amoCRM repeats an account-level webhook, after the first attempt."""
EARLY = timedelta(seconds=2)
"""How much before its event's second a webhook may arrive, by rounding."""

_LEAST = timedelta(minutes=1)
_SLACK = timedelta(minutes=3)  # between the last repeat of a webhook and the time it counts as lost
_ACCOUNT = timedelta(minutes=115)
_ACCOUNT_DIRECT = timedelta(minutes=25)
_DP = timedelta(minutes=2)
_DP_SLACK = timedelta(minutes=1)
_DP_KOMMO = timedelta(minutes=65)


class Limit(NamedTuple):
    """Of one kind of channel. `reach`: the longest time from a change to its webhook.

    `settle` may be shorter, where a webhook is not repeated for that long unless we answered an error. Then one comes
    after its event was healed, is recognized by its span, and goes to no target that has the healed one.
    """

    reach: timedelta
    settle: timedelta


class Limits(NamedTuple):
    """The limits of a source's account-level webhooks, and of its triggers."""

    account: Limit
    trigger: Limit

    def of(self, channel: str) -> Limit:
        """The limit of a channel."""
        return self.trigger if channel.startswith("dp:") else self.account


def limits(heal: Heal, *, kommo: bool) -> Limits:
    """The limits of a source. A `settle:` of the file rules account-level webhooks; the others follow from amoCRM's."""
    settle = max(_LEAST, heal.settle or (_ACCOUNT if heal.proxied else _ACCOUNT_DIRECT))
    account = Limit(max(_ACCOUNT, settle) - _SLACK, settle)
    trigger = Limit(_DP_KOMMO - _SLACK, _DP_KOMMO) if kommo else Limit(_DP - _DP_SLACK, _DP)
    return Limits(account, trigger)
