"""Delivery and target -> the request to make: body, headers, signature. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from urllib.parse import parse_qsl, unquote, urlsplit

from relay import __version__
from relay.delivery.healed import exactness
from relay.delivery.masks import spellings
from relay.delivery.payload import CONTENT_TYPES, Original, body, query_text, with_names, with_query
from relay.http.request import Request
from relay.model import Delivery, Format, Secret, Target, Webhook, signing_key
from relay.model.trace import attempt_traceparent

USER_AGENT = f"amocrm-relay/{__version__}"
SHORTEST_SECRET = 8  # characters; a shorter text may occur in any text
MAX_REASON = 300  # characters of `relay-unparsed`
SHORTEST_TOKEN = 16  # characters of a URL's path between two slashes; what is shorter is a name


class Renderer:
    """Renders the requests to one target without templates; what is the same in all of them is made once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.needs_original = target.format is Format.FORM
        self._method = target.method.value
        self._names = target.event_names if target.names else None
        constant = {name: value.reveal() for name, value in target.query.items() if isinstance(value, Secret)}
        self._url = with_query(target.url, query_text(constant))
        common = {"user-agent": USER_AGENT}
        own = {name.lower(): value.reveal() for name, value in target.headers.items()}
        self._raw_headers = common | own
        self._headers = {"content-type": CONTENT_TYPES[target.format]} | common | own
        self._replaced = frozenset(own)  # our headers that the target's own replace

    def render(self, delivery: Delivery, *, now: datetime, original: Original | None = None) -> Request:
        """Build the request of one attempt: the relay's headers and the target's own; `webhook-id` is the same in all.

        `original` is needed for `format: form` alone.
        """
        target = self.target
        payload = self._payload(delivery)
        if target.format is Format.JSON:
            return self._request(delivery, self._url, self._headers, None, payload, now)
        content = body(payload, target.format, original.body if original else None)
        url = with_query(self._url, original.query) if original and self.needs_original else self._url
        return self._request(delivery, url, self._headers, None, content, now)

    def render_raw(self, delivery: Delivery, webhook: Webhook, *, now: datetime) -> Request:
        """Build the request of a raw delivery: the webhook byte for byte, whatever the target's format.

        It has the webhook's query, content type and signature, and the reason why it is unparsed.
        """
        url = with_query(self._url, webhook.query)
        return self._request(delivery, url, self._raw_headers, raw_headers(webhook), webhook.body, now)

    def render_probe(self, method: str) -> Request:
        """Build a request without an event: the target's own headers, and neither body, id nor signature.

        Nothing is rendered of templates: if the URL is one, the root of its origin is asked. `method` is to be a safe
        one (RFC 9110 §9.2.1), which no target takes for a delivery.
        """
        root = urlsplit(self.target.url)._replace(path="/", query="").geturl()
        url = self._url if self.target.url_template is None else root
        own = {} if "relay-probe" in self._replaced else {"relay-probe": "true"}
        return Request(
            url=url, headers=self._raw_headers, own_headers=own, body=b"", method=method, secrets=self._secrets
        )

    def _payload(self, delivery: Delivery) -> bytes:
        return delivery.payload if self._names is None else with_names(delivery.payload, self._names)

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return spellings(_secret_texts_of(self.target))

    def _request(
        self,
        delivery: Delivery,
        url: str,
        headers: Mapping[str, str],
        of_body: Mapping[str, str] | None,
        content: bytes,
        now: datetime,
    ) -> Request:
        timestamp = str(int(now.timestamp()))
        own = {
            "webhook-id": delivery.event_id,
            "webhook-timestamp": timestamp,
            "relay-attempt": str(delivery.attempt),
        }
        if trace := delivery.trace:
            own["traceparent"] = attempt_traceparent(trace, delivery.event_id, delivery.target, delivery.attempt)
        if delivery.replay:
            own["relay-replay"] = "true"
        if delivery.healed:
            own["relay-healed"] = exactness(delivery.payload)
        if self.target.secrets:
            own["webhook-signature"] = _signature(self.target.secrets, delivery.event_id, timestamp, content)
        if of_body:
            own |= of_body
        if self._replaced:
            own = {name: value for name, value in own.items() if name not in self._replaced}
        return Request(
            url=url, headers=headers, own_headers=own, body=content, method=self._method, secrets=self._secrets
        )


def raw_headers(webhook: Webhook) -> dict[str, str]:
    """What only raw deliveries have: content type and signature of the webhook, and why it is unparsed."""
    original = {"content-type": webhook.content_type, "x-signature": webhook.signature}
    found = {name: value for name, value in original.items() if value}
    return found | {"relay-unparsed": _as_header(webhook.unparsed or "")}


def render(delivery: Delivery, target: Target, *, now: datetime, original: Original | None = None) -> Request:
    """Build one request."""
    return Renderer(target).render(delivery, now=now, original=original)


def render_raw(delivery: Delivery, target: Target, webhook: Webhook, *, now: datetime) -> Request:
    """Build the request of one raw delivery."""
    return Renderer(target).render_raw(delivery, webhook, now=now)


def _as_header(reason: str) -> str:
    """Printable ASCII, which any server accepts: the reason may quote a key of the body, whatever that is."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in reason[:MAX_REASON])


def _secret_texts_of(target: Target) -> Iterator[str]:
    yield from secret_texts(target.url, [value.reveal() for value in _secret_values(target)])
    own = [*target.hidden, *(value for value in target.query.values() if isinstance(value, Secret))]
    yield from (text for text in (value.reveal() for value in own) if len(text) >= SHORTEST_SECRET)


def _secret_values(target: Target) -> Iterator[Secret]:
    yield from target.headers.values()
    if target.egress.proxy:
        yield from target.egress.proxy.secrets


def secret_texts(address: str, values: Sequence[str]) -> Iterator[str]:
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
