"""A webhook that was stored -> the documents of `relay forward`, and each of them -> the request it is forwarded as.

The daemon makes documents, and only while somebody forwards; the command makes requests of them. So rendering costs the
daemon nothing, and no secret of its targets leaves it: a request is made with what the routes file says in plain text.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import orjson

from relay.amocrm import events
from relay.delivery.batch import as_one
from relay.delivery.payload import Original, original_body
from relay.delivery.template_renderer import new_renderer
from relay.errors import NotFoundError
from relay.http.request import Request
from relay.model import Delivery, Event, Json, RoutedEvent, Secret, Target, Webhook
from relay.routes.config import Config
from relay.routes.diagnostics import suggestion
from relay.signals import Signal, WebhookStored

Document = dict[str, Json]

FORWARDED = "relay-forwarded"
"""The header of every forwarded request: `true`."""


# ---- in the daemon


def documents(target: str | None, *, originals: bool) -> Callable[[Signal], list[Document]]:
    """What a forwarder is sent of a signal: the events of a stored webhook; with a `target`, what is routed to it.

    `originals`: with what amoCRM sent of each. Unparsed webhooks are sent if they are routed to `target`, always with
    what was sent.
    """

    def found(signal: Signal) -> list[Document]:
        if not isinstance(signal, WebhookStored):
            return []
        chosen = [
            (position, each)
            for position, each in enumerate(signal.routed)
            if (target is None and not each.raw) or any(planned.target == target for planned in each.planned)
        ]
        if not chosen:
            return []
        sent = _sent(signal.webhook) if originals or signal.webhook.unparsed is not None else None
        of = len(signal.routed)
        return [_document(signal.webhook, each, sent, position, of) for position, each in chosen]

    return found


def _document(webhook: Webhook, routed: RoutedEvent, sent: bytes | None, position: int, of: int) -> Document:
    """`size`: the bytes of what is sent of the event, by which the stream bounds how much waits for a forwarder."""
    document: Document = {
        "what": "event",
        "source": webhook.source,
        "webhook": webhook.id,
        "event": routed.event.id,
        "type": "unparsed" if routed.raw else routed.event.type,
        "entity_id": "" if routed.raw else routed.event.entity_id,
        "routes": list(routed.routes),
        "size": len(routed.payload) + len(sent or b""),
        "payload": None if routed.raw else orjson.Fragment(routed.payload),
    }
    return document if sent is None else document | {"position": position, "of": of, "sent": orjson.Fragment(sent)}


def _sent(webhook: Webhook) -> bytes:
    """The webhook as JSON, its body in base64: made once for all its events."""
    return orjson.dumps(
        {
            "body": base64.b64encode(webhook.body).decode(),
            "content_type": webhook.content_type,
            "query": webhook.query,
            "signature": webhook.signature,
            "unparsed": webhook.unparsed,
        }
    )


# ---- in the command


def event_of(document: Mapping[str, Json]) -> Event | None:
    """The event; None of a webhook that could not be read."""
    payload = document["payload"]
    return None if payload is None else events.load(orjson.dumps(payload))


def forwarding_target(config: Config, name: str, url: str) -> Target:
    """The target with `url` in place of its own, and without what is secret in it.

    It has no signing secret, and of its headers those that the file has in plain text; in query, body and templates
    each `${…}` stays as it is written. NotFoundError if there is none.
    """
    if name not in config.targets:
        raise NotFoundError(f"{config.file} has no target {name!r} {suggestion(name, config.targets)}")
    target = config.target_as_written(name)
    headers = _plain_headers(config, target)
    return replace(target, url=url, url_template=None, secrets=(), tls=None, headers=headers, hidden=())


def _plain_headers(config: Config, target: Target) -> dict[str, Secret]:
    written = config.document.written  # what holds a `${…}`
    return {
        name: value
        for name, value in target.headers.items()
        if ("targets", target.name, "headers", name) not in written
    }


def forwarded(document: Mapping[str, Json], target: Target, *, now: datetime) -> Request:
    """The request of attempt 1 to `target`, with `relay-forwarded: true`; TemplateFailed if it cannot be rendered."""
    renderer = new_renderer(target)
    delivery = _delivery(document, target, now)
    sent = document.get("sent")
    webhook = _webhook(document, sent, now) if sent else None
    if delivery.raw and webhook:
        request = renderer.render_raw(delivery, webhook, now=now)
    else:
        original = _original(webhook, document["position"], document["of"]) if webhook else None
        delivery = as_one([delivery]) if target.batch else delivery  # each event is a batch of its own
        request = renderer.render(delivery, now=now, original=original)
    return replace(request, own_headers={**request.own_headers, FORWARDED: "true"})


def _delivery(document: Mapping[str, Json], target: Target, now: datetime) -> Delivery:
    payload = document["payload"]
    return Delivery(
        event_id=document["event"],
        target=target.name,
        attempt=1,
        policy_attempt=1,
        received_at=now,
        pending_since=now,
        payload=b"" if payload is None else orjson.dumps(payload),
    )


def _webhook(document: Mapping[str, Json], sent: Mapping[str, Json], now: datetime) -> Webhook:
    return Webhook(
        id=document["webhook"],
        source=document["source"],
        received_at=now,
        body=base64.b64decode(sent["body"]),
        content_type=sent["content_type"],
        query=sent["query"],
        signature=sent["signature"],
        unparsed=sent["unparsed"],
    )


def _original(webhook: Webhook, position: int, of: int) -> Original:
    body = original_body(webhook.body, webhook.content_type, position=position, of=of)
    return Original(body=body, query=webhook.query)
