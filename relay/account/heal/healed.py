"""A lost record -> the healed webhook, its event and its planned deliveries, with ids that are always the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid5

from relay.account.heal.bodies import body
from relay.account.heal.channels import parse
from relay.account.heal.wanted import AccountFacts
from relay.amocrm import events, form
from relay.model import Event, Json, RoutedEvent, Webhook
from relay.model.heal import HealRecord, HealState
from relay.model.webhooks import HEAL
from relay.rfc3339 import rfc3339
from relay.store.requests import KeepRequest

CONTENT_TYPE = "application/x-www-form-urlencoded"

_NAMESPACE = UUID("5e1b3f0e-6d0b-5c59-9f1e-0c7a6f1d9a52")


def healed(
    record: HealRecord,
    account: AccountFacts,
    present: Mapping[str, Json] | None,
    *,
    found_at: datetime,
    plan: Callable[[Event], RoutedEvent],
) -> tuple[HealRecord, KeepRequest]:
    """The record as healed, and the webhook to keep; a crash repeats both with the same ids."""
    id_ = webhook_id(record)
    form_ = body(record, account.block, present)
    trigger = parse(record.channel)
    webhook = Webhook(
        id=id_,
        source=record.source,
        received_at=found_at,
        body=form_,
        content_type=CONTENT_TYPE,
        query=trigger.query if trigger else "",
        kind=HEAL,
    )
    (event,) = events.read(
        form.decode(form_),
        source=record.source,
        received_at=found_at,
        new_id=lambda: str(uuid5(UUID(id_), "event")),
        query=webhook.query,
    )
    about: dict[str, Json] = {
        "event_id": record.event_id,
        "exactness": record.exactness,
        "found_at": rfc3339(found_at),
        "reason": record.reason,
    }
    routed = plan(replace(event, heal=about, happened_at=record.at))
    stored = replace(record, state=HealState.HEALED, webhook=id_, before=None, after=None)
    return stored, KeepRequest(webhook, [routed], now=found_at)


def webhook_id(record: HealRecord) -> str:
    """A UUIDv5 of source, channel and the feed's event: unique, and not ordered by time."""
    return str(uuid5(_NAMESPACE, "\n".join((record.source, record.channel, record.event_id))))
