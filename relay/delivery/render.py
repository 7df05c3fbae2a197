"""Delivery and target -> the request to make: body, headers, signature. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from relay import __version__
from relay.delivery.body import body
from relay.model import Delivery, Secret, Target, signing_key

USER_AGENT = f"amocrm-relay/{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST, ready to be sent; names of headers are in lower case. `url` and the target's own headers are secret."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def render(delivery: Delivery, target: Target, *, now: datetime, sent: bytes | None = None) -> Request:
    """The request of one attempt: our headers and the target's own; the id is the same in every attempt.

    `sent`, what amoCRM sent of the event, is needed for `format: form` alone.
    """
    content_type, content = body(delivery.payload, target.format, sent)
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
        headers["webhook-signature"] = _signature(target.secrets, delivery.event_id, now, content)
    headers.update((name.lower(), value.reveal()) for name, value in target.headers.items())
    return Request(url=target.url, headers=headers, body=content)


def _signature(secrets: tuple[Secret, ...], id_: str, now: datetime, content: bytes) -> str:
    """Standard Webhooks 1.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret."""
    signed = b"%s.%d.%s" % (id_.encode(), int(now.timestamp()), content)
    return " ".join(f"v1,{_sign(secret, signed)}" for secret in secrets)


def _sign(secret: Secret, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(signing_key(secret.reveal()), signed, hashlib.sha256)).decode()
