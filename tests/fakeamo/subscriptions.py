"""Who is told of changes: webhooks of the account, and triggers of the digital pipeline."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakeamo.values import Card, Fields

CARDS = ("lead", "contact", "company", "customer")
SETTINGS = frozenset(
    [f"{action}_{kind}" for action in ("add", "update", "delete", "responsible") for kind in (*CARDS, "task")]
    + [f"restore_{kind}" for kind in CARDS[:3]]
    + [f"note_{kind}" for kind in CARDS]
    + ["add_talk", "update_talk", "status_lead", "add_message", "add_outgoing_message", "add_chat_template_review"]
)  # fmt: skip
"""What POST /api/v4/webhooks takes."""

TWO_HOURS = 7_200.0
FIVE_MINUTES = 300.0
LONG = (5, 20, 35, 95)
"""Minutes after the first attempt, once the answer was 499 or 5xx."""
SHORT = (5, 20)
KOMMO_TRIGGER = (5, 15, 30, 55)


@dataclass(kw_only=True)
class Subscription:
    """A webhook of the account; its destination is its key."""

    id: int
    destination: str
    settings: list[str]
    created_at: int
    updated_at: int
    created_by: int
    sort: int = 1
    disabled: bool = False
    switched_off_by: str = ""  # "amocrm" or "person"
    deleted: bool = False
    bad: deque[float] = field(default_factory=deque)
    """When answers of the last two hours were bad."""

    def document(self, account_id: int) -> Fields:
        return {
            "id": self.id,
            "destination": self.destination,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "account_id": account_id,
            "created_by": self.created_by,
            "sort": self.sort,
            "disabled": self.disabled,
            "settings": [*self.settings],
        }

    def note_answer(self, status: int | None, now: float, bearable: int) -> None:
        """Switch off after a bad answer, if more than `bearable` of two hours were."""
        while self.bad and self.bad[0] <= now - TWO_HOURS:
            self.bad.popleft()
        if is_good(status):
            return
        self.bad.append(now)
        if len(self.bad) > bearable and not self.disabled:
            self.disabled, self.switched_off_by = True, "amocrm"

    def enable(self) -> None:
        self.disabled, self.switched_off_by = False, ""
        self.bad.clear()


@dataclass(kw_only=True)
class Trigger:
    """`API: send webhook` in a stage. No endpoint of the API tells of it."""

    pipeline_id: int
    status_id: int
    destination: str
    on: frozenset[str]
    """Of status, add, call_in, mail_in, chat, site_visit."""
    delay: float = 0.0
    condition: Callable[[Card], bool] | None = None
    bad: deque[float] = field(default_factory=deque)
    paused_until: float = 0.0

    def channel(self, action: str) -> str:
        """`dp:status:10005:try=1`: parameters of the address in alphabetical order."""
        query = urlencode(sorted(parse_qsl(urlsplit(self.destination).query, keep_blank_values=True)))
        return f"dp:{action}:{self.status_id}:{query}"

    def fires(self, action: str, lead: Card) -> bool:
        stage = lead.fields["pipeline_id"], lead.fields["status_id"]
        in_stage = stage == (self.pipeline_id, self.status_id)
        return action in self.on and in_stage and (self.condition is None or self.condition(lead))

    def note_answer(self, status: int | None, now: float) -> None:
        """Pause for five minutes after more than 100 bad answers of five (Kommo)."""
        while self.bad and self.bad[0] <= now - FIVE_MINUTES:
            self.bad.popleft()
        if not is_good(status):
            self.bad.append(now)
            if len(self.bad) > 100:
                self.paused_until = now + FIVE_MINUTES


def is_good(status: int | None) -> bool:
    """100-299; None is a time-out or a connection that failed."""
    return status is not None and 100 <= status <= 299
