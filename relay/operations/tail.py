"""A signal of the running relay -> the JSON documents of `relay tail`, in the shapes of `views`."""

import orjson

from relay.model import Dead, Delivered, Delivery, Json, RetryAt, entity_id
from relay.operations import views
from relay.rfc3339 import rfc3339
from relay.signals import Attempted, DuplicateReceived, Probed, Rejection, Signal, WebhookRejected, WebhookStored

Document = dict[str, Json]

MASKED = ("detail", "why", "unparsed", "remote", "address")
"""What may quote a body, an answer or an error, and where requests came from, as in listings."""


def documents(signal: Signal) -> list[Document]:
    """What `relay tail` shows of a signal; nothing of most. `at` is added by the stream."""
    match signal:
        case WebhookStored(webhook=webhook) if webhook.unparsed is not None:
            return [{"what": "unparsed", "source": webhook.source, "webhook": webhook.id, "unparsed": webhook.unparsed}]
        case WebhookStored():
            return _events(signal)
        case DuplicateReceived():
            return _duplicates(signal)
        case Probed(source=source, remote=remote):
            return [{"what": "probe", "source": source, "remote": remote}]
        case WebhookRejected(reason=Rejection.STRANGER):
            return []
        case WebhookRejected():
            return [_rejected(signal)]
        case Attempted():
            return [_attempt(signal)]
        case _:
            return []


def masked_documents(signal: Signal) -> list[Document]:
    """The same for an asker without payloads: `***` in place of `MASKED`."""
    return [
        {key: "***" if key in MASKED and text else text for key, text in each.items()} for each in documents(signal)
    ]


def _rejected(rejected: WebhookRejected) -> Document:
    document: Document = {
        "what": "refused",
        "source": rejected.source,
        "outcome": rejected.reason,
        "remote": rejected.remote,
        "detail": rejected.detail,
    }
    return document | {"address": rejected.address} if rejected.address else document


def _events(stored: WebhookStored) -> list[Document]:
    return [
        {
            "what": "event",
            "source": stored.webhook.source,
            "webhook": stored.webhook.id,
            "event": each.event.id,
            "type": each.event.type,
            "entity_id": each.event.entity_id,
            "routes": list(each.routes),
        }
        for each in stored.routed
    ]


def _duplicates(received: DuplicateReceived) -> list[Document]:
    """What each event of it is about; of none, if it has none."""
    document: Document = {"what": "duplicate", "source": received.webhook.source, "webhook": received.first}
    read = received.routed if received.webhook.unparsed is None else ()
    about = [{"type": each.event.type, "entity_id": each.event.entity_id} for each in read]
    return [document | each for each in about] or [document]


def _attempt(attempted: Attempted) -> Document:
    delivery = attempted.delivery
    return {
        "what": "attempt",
        "target": delivery.target,
        "event": delivery.event_id,
        **_about(delivery),
        "attempt": delivery.attempt,
        "replay": delivery.replay,
        **views.outcome(attempted.outcome),
        **_verdict(attempted),
    }


def _about(delivery: Delivery) -> Document:
    """Read from its JSON; empty if that is corrupt."""
    if delivery.corrupt:
        return {"type": "", "entity_id": ""}
    if delivery.raw:
        return {"type": "unparsed", "entity_id": ""}
    event = orjson.loads(delivery.payload)
    return {"type": event["type"], "entity_id": entity_id(event["action"], event["data"])}


def _verdict(attempted: Attempted) -> Document:
    name: Document = {"verdict": attempted.verdict.name.value}
    match attempted.verdict:
        case Delivered():
            return name
        case RetryAt(due_at):
            return name | {"due_at": rfc3339(due_at)}
        case Dead(why):
            return name | {"why": why}
