"""What is known of a source's webhook in amoCRM: its subscription, as the guard saw it last."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class SubscriptionState(StrEnum):
    """What the guard found at its last look.

    `DISABLED`: switched off, by amoCRM or by a person. `SETTINGS_DIFFER`: it lacks events that the routes need.
    `WRONG_ACCOUNT`: the token is of an account that may not send to this source. `NO_RIGHTS`: 401 or 403. `UNPAID`:
    402. `API_AWAY`: amoCRM did not answer, so the state is as before.
    """

    OK = "ok"
    DISABLED = "disabled"
    MISSING = "missing"
    SETTINGS_DIFFER = "settings_differ"
    WRONG_ACCOUNT = "wrong_account"
    NO_RIGHTS = "no_rights"
    UNPAID = "unpaid"
    API_AWAY = "api_away"


class SwitchedOff(NamedTuple):
    """A span in which the webhook was switched off, from when it was last seen on; `until` is None while it is.

    By a person, so that nothing is healed; or, if it is `ours`, by amoCRM for our failures: what was lost meanwhile is
    healed as after an outage.
    """

    since: datetime
    until: datetime | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRecord:
    """What the guard of a source has seen and done. `since`: when it first saw the present `state`.

    `seen_on_at`: when the webhook was last seen switched on, `disabled_at`: when it was first seen switched off, None
    while it is not. Failed answers and outages before `spent_at` have been the reason for a try to switch it on.
    `recreating`: settings of a webhook that is to be created anew, for it was deleted or is about to be. `off`: by
    `relay disconnect`. `resumed_at`: when an operator last had the guard go on.
    """

    source: str
    state: SubscriptionState | None = None
    since: datetime | None = None
    checked_at: datetime | None = None
    detail: str = ""
    seen_on_at: datetime | None = None
    disabled_at: datetime | None = None
    spent_at: datetime | None = None
    recreating: tuple[str, ...] = ()
    off: bool = False
    resumed_at: datetime | None = None
