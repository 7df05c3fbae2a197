"""Delivery and target -> the request to make: body, headers, signature. Pure."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from relay import __version__
from relay.delivery.payload import Original, body, with_query
from relay.http.request import Request
from relay.model import Delivery, Format, Secret, Target, Webhook, signing_key

USER_AGENT = f"amocrm-relay/{__version__}"
SHORTEST_SECRET = 8  # characters; a shorter text may occur in any text
MAX_REASON = 300  # characters of `relay-unparsed`
SHORTEST_TOKEN = 16  # characters of a URL's path between two slashes; what is shorter is a name

_ENCODED = re.compile("%[0-9A-F]{2}")


def render(delivery: Delivery, target: Target, *, now: datetime, original: Original | None = None) -> Request:
    """Build the request of one attempt: the relay's headers and the target's own; `webhook-id` is the same in all.

    `original` is needed for `format: form` alone.
    """
    content_type, content = body(delivery.payload, target.format, original.body if original else None)
    url = with_query(target.url, original.query) if original and target.format is Format.FORM else target.url
    return _request(delivery, target, url, {"content-type": content_type}, content, now)


def render_raw(delivery: Delivery, target: Target, webhook: Webhook, *, now: datetime) -> Request:
    """Build the request of a raw delivery: the webhook byte for byte, whatever the target's format.

    It has the webhook's query, content type and signature, and the reason why it is unparsed.
    """
    original = {"content-type": webhook.content_type, "x-signature": webhook.signature}
    headers = {name: value for name, value in original.items() if value}
    headers["relay-unparsed"] = _as_header(webhook.unparsed or "")
    return _request(delivery, target, with_query(target.url, webhook.query), headers, webhook.body, now)


def _as_header(reason: str) -> str:
    """Printable ASCII, which any server accepts: the reason may quote a key of the body, whatever that is."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in reason[:MAX_REASON])


def _request(
    delivery: Delivery, target: Target, url: str, of_body: Mapping[str, str], content: bytes, now: datetime
) -> Request:
    timestamp = str(int(now.timestamp()))
    headers = {
        **of_body,
        "user-agent": USER_AGENT,
        "webhook-id": delivery.event_id,
        "webhook-timestamp": timestamp,
        "relay-attempt": str(delivery.attempt),
    }
    if delivery.replay:
        headers["relay-replay"] = "true"
    if target.secrets:
        headers["webhook-signature"] = _signature(target.secrets, delivery.event_id, timestamp, content)
    if target.headers:
        headers.update((name.lower(), value.reveal()) for name, value in target.headers.items())
    secrets = _secrets(target.url, *target.headers.values())
    return Request(url=url, headers=headers, body=content, secrets=secrets)


@lru_cache(maxsize=1024)
def _secrets(url: str, *headers: Secret) -> tuple[str, ...]:
    texts = {*_secret_texts(url, [value.reveal() for value in headers])}
    return tuple(sorted({form for text in texts for form in _spellings(text)}, key=len, reverse=True))


def _spellings(text: str) -> Iterator[str]:
    """As it is, and URL-encoded: a redirect to a login may quote the URL in its query."""
    yield text
    encoded = quote(text, safe="", errors="replace")
    yield encoded
    yield _ENCODED.sub(lambda each: each[0].lower(), encoded)


def _secret_texts(address: str, values: Sequence[str]) -> Iterator[str]:
    """Values of the target's headers and of its URL's query, and segments of the path that look like tokens."""
    url = urlsplit(address)
    words = [word for value in values for word in value.split()]  # Bearer, and the token
    queried = [url.query, *(pair.partition("=")[2] for pair in url.query.split("&"))]
    read = [value for _, value in parse_qsl(url.query)]
    yield from (text for text in (*values, *words, *queried, *read) if len(text) >= SHORTEST_SECRET)
    for part in url.path.split("/"):
        yield from (text for text in (part, unquote(part)) if len(text) >= SHORTEST_TOKEN)


def _signature(secrets: tuple[Secret, ...], id_: str, timestamp: str, content: bytes) -> str:
    """Standard Webhooks 1.0: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret."""
    signed = b"%s.%s.%s" % (id_.encode(), timestamp.encode(), content)
    return " ".join(f"v1,{_sign(secret, signed)}" for secret in secrets)


def _sign(secret: Secret, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(signing_key(secret.reveal()), signed, hashlib.sha256)).decode()
