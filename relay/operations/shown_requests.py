"""Event or webhook, target -> the request that the target would get, fit to be shown: a secret is `***` or `${…}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import unquote

from relay.amocrm import events
from relay.delivery.batch import as_one
from relay.delivery.enriched import with_enriched
from relay.delivery.healed import unmarked
from relay.delivery.payload import Original
from relay.delivery.template_renderer import new_renderer
from relay.errors import TemplateFailed
from relay.http.request import Request, as_sent
from relay.model import Delivery, Event, HealDelivery, Target, Webhook
from relay.model.enrich import Enrichment
from relay.routes.config import Config
from relay.routes.lint.secrets import SECRET_HEADERS

HIDDEN = "***"
NOT_ASKED = "amoCRM is not asked by this command"

_REFERENCE = re.compile("%24%7B.*?%7D")  # ${…} in a query, encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRequest:
    """The request that a target would get, or why it cannot be rendered: `failed`.

    `proxy`: through which it would be sent, if through one.
    """

    target: str
    method: str
    url: str = ""
    proxy: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    failed: str = ""


def shown_request(
    config: Config,
    target: str,
    event: Event,
    sent: Original,
    *,
    trace: str = "",
    fetched: Enrichment | None = None,
    now: datetime,
) -> ShownRequest:
    """The first request of an event; `sent` is what amoCRM sent of it, `trace` that of its webhook.

    `fetched`: what is stored beside the event.
    """
    written = config.target_as_written(target)
    delivery = _delivery(event.id, target, events.dump(event), event.received_at, trace)
    if event.heal is not None:
        delivery = replace(delivery, healed=True)
        delivery = delivery if written.heal is HealDelivery.MARK else unmarked(delivery)
    if written.enrich:
        found = fetched or Enrichment(row=0, at=now, reason=NOT_ASKED)
        delivery = with_enriched(delivery, written.enrich, found)
    if written.batch:  # shown as a batch of this event alone
        delivery = as_one([delivery])
    try:
        request = new_renderer(written).render(delivery, now=now, original=sent)
    except TemplateFailed as error:
        return ShownRequest(target=target, method=written.method.value, failed=str(error))
    return _shown(config, written, request)


def shown_raw_request(config: Config, target: str, webhook: Webhook, raw_id: str, *, now: datetime) -> ShownRequest:
    """The first request of a raw delivery whose `webhook-id` is `raw_id`."""
    written = config.target_as_written(target)
    delivery = _delivery(raw_id, target, b"", webhook.received_at, webhook.trace)
    try:
        request = new_renderer(written).render_raw(delivery, webhook, now=now)
    except TemplateFailed as error:
        return ShownRequest(target=target, method=written.method.value, failed=str(error))
    return _shown(config, written, request)


def _delivery(event_id: str, target: str, payload: bytes, at: datetime, trace: str) -> Delivery:
    return Delivery(
        event_id=event_id,
        target=target,
        attempt=1,
        policy_attempt=1,
        received_at=at,
        pending_since=at,
        payload=payload,
        trace=trace,
    )


def _shown(config: Config, written: Target, request: Request) -> ShownRequest:
    """`written` is the target with its `${…}` unresolved, and `request` what it renders."""
    target = config.targets[written.name]
    secret = {name.lower() for name in written.headers} | {"webhook-signature"}
    secret |= {name.lower() for name in written.header_templates if name.lower().endswith(SECRET_HEADERS)}
    token = {"authorization": HIDDEN} if target.oauth2 else {}  # which nobody fetches here
    url = _REFERENCE.sub(lambda reference: unquote(reference[0]), request.url)
    return ShownRequest(
        target=written.name,
        method=request.method,
        url=as_sent(target.url + url, url),
        proxy=config.proxy_as_written(target.name) if target.egress.proxy_to(target.url) else None,
        headers={name: HIDDEN if name in secret else value for name, value in request.all_headers.items()} | token,
        body=request.body.decode(errors="backslashreplace"),
    )
