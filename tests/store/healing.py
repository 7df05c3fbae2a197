"""Values of healing that tests of stores call them with."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from relay.model import PlannedDelivery
from relay.model.heal import Exactness, HealRecord, HealState, Hook
from relay.store.requests import KeepRequest
from tests.store.conftest import MINUTE, NOON, routed, to, webhook

LATE = (to("bot"), replace(to("drops"), if_late=True))

SECOND = timedelta(seconds=1)


def hook(key: str = "lead 7", at: datetime = NOON, *, item: int = 0, channel: str = "account") -> Hook:
    """Tells of events within a minute of `at`."""
    return Hook(item=item, channel=channel, key=key, at=at, arrived=None, since=at - MINUTE, until=at + MINUTE)


def record(event: str = "e1", state: HealState = HealState.SEEN, **how: Any) -> HealRecord:
    told: dict[str, Any] = {"at": NOON, "key": "lead 7", "channel": "account"} | how
    return HealRecord(
        source="crm",
        event_id=event,
        type="lead_status_changed",
        action="leads.status",
        entity="leads",
        entity_id="7",
        found_at=NOON + MINUTE,
        state=state,
        **told,
    )


def healing_webhook(number: int = 1, *planned: PlannedDelivery) -> KeepRequest:
    return KeepRequest(replace(webhook(number), kind="heal"), [routed(number, *(planned or (to(),)))])


def healed(event: str = "e1", number: int = 1, **how: Any) -> HealRecord:
    exactness = Exactness.EXACT
    return record(event, HealState.HEALED, webhook=f"webhook-{number:04}", reason="outage", exactness=exactness, **how)
