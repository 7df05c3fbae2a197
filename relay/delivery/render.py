"""Delivery and target -> the request to make: body, headers, signature. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from relay import __version__
from relay.model import Delivery, Format, Secret, Target

USER_AGENT = f"amocrm-relay/{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST, ready to be sent. The values of the target's own headers and the signature are not for display."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def render(delivery: Delivery, target: Target, *, now: datetime) -> Request:
    """The request of one attempt. Headers are DESIGN's and the target's own; the id is the same in every attempt."""
    content_type, body = _body(delivery, target)
    headers = {
        "content-type": content_type,
        "user-agent": USER_AGENT,
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "relay-attempt": str(delivery.attempt),
    }
    if delivery.replay:
        headers["relay-replay"] = "true"
    if target.secrets:
        headers["webhook-signature"] = signature(target.secrets, delivery.event_id, now, body)
    headers.update((name, value.reveal()) for name, value in target.headers.items())
    return Request(url=target.url, headers=headers, body=body)


def signature(secrets: tuple[Secret, ...], id_: str, now: datetime, body: bytes) -> str:
    """Standard Webhooks 1.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret."""
    signed = b"%s.%d.%s" % (id_.encode(), int(now.timestamp()), body)
    return " ".join(f"v1,{_sign(secret, signed)}" for secret in secrets)


def _sign(secret: Secret, signed: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _body(delivery: Delivery, target: Target) -> tuple[str, bytes]:
    match target.format:
        case Format.JSON:
            return "application/json", delivery.payload
        case Format.CLOUDEVENTS:
            return "application/cloudevents+json; charset=utf-8", _cloudevent(delivery.payload)
        case Format.FORM:
            raise ValueError("format form is not available")


def _cloudevent(payload: bytes) -> bytes:
    """CloudEvents 1.0, structured mode; `data` is our event."""
    event = orjson.loads(payload)
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event["id"],
            "source": f"/amocrm/{event['source']}",
            "type": f"com.amocrm.{event['type']}",
            "time": event["timestamp"],
            "datacontenttype": "application/json",
            "data": event,
        }
    )
