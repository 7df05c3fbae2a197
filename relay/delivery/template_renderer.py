"""Delivery and templates -> the request to make: as `request` does, with what is rendered of the event. Pure.

What is rendered is stored nowhere: each attempt is rendered by the templates of its time, so that a mended one applies
to what is pending.
"""

from collections.abc import Mapping
from datetime import datetime

import orjson

from relay.amocrm.events import query_values
from relay.delivery.payload import Original, body, query_text, with_query
from relay.delivery.request import Renderer, raw_headers
from relay.errors import TemplateFailed
from relay.http.request import Request
from relay.model import Delivery, Json, Secret, Target, TextTemplate, Webhook
from relay.model.templates import Context, batch_context, event_context
from relay.rfc3339 import rfc3339

MAX_URL = 8_192
"""Characters of a URL with what its templates give: servers refuse longer ones, and yarl keeps the last 128 of them."""


class TemplateRenderer(Renderer):
    """Renders the requests to one target with templates; TemplateFailed says which cannot be rendered, and why."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._header_templates = {name.lower(): template for name, template in target.header_templates.items()}
        self._raw_headers = _without(self._raw_headers, self._header_templates)
        self._headers = _without(self._headers, self._header_templates)
        if target.body:
            self.needs_original = False
            self._headers["content-type"] = target.content_type or target.body.content_type
        constant = target.url_template is None and all(isinstance(each, Secret) for each in target.query.values())
        self._constant_url = self._url if constant else None

    def render(self, delivery: Delivery, *, now: datetime, original: Original | None = None) -> Request:
        """See `Renderer`."""
        context = self._context(delivery)
        content = self._content(delivery, context, original)
        url, headers = self._rendered_url(context), self._rendered_headers(context)
        if original and self.needs_original:
            url = with_query(url, original.query)
        return self._request(delivery, url, self._headers, headers, content, now)

    def render_raw(self, delivery: Delivery, webhook: Webhook, *, now: datetime) -> Request:
        """Build the request of a raw delivery: the webhook byte for byte, without `body`, which is for events.

        Templates elsewhere are rendered of what there is: `id`, `timestamp`, `source` and `query`, as of an event, or
        as of the one event of a batch.
        """
        known = _known_of(delivery, webhook)
        context = batch_context([known]) if self.target.batch else event_context(known)
        url = with_query(self._rendered_url(context), webhook.query)
        headers = self._rendered_headers(context) | raw_headers(webhook)
        return self._request(delivery, url, self._raw_headers, headers, webhook.body, now)

    def _context(self, delivery: Delivery) -> Context:
        event = orjson.loads(delivery.payload)  # of a batch, the list of its events
        names = self.target.event_names
        if self.target.batch:
            return batch_context([{**each, "names": names.of(each)} for each in event] if names else event)
        if names is None:
            return event_context(event)
        known = names.of(event)
        return event_context({**event, "names": known} if self.target.names else event, known)

    def _content(self, delivery: Delivery, context: Context, original: Original | None) -> bytes:
        template = self.target.body
        if template is None:
            return body(self._payload(delivery), self.target.format, original.body if original else None)
        try:
            return template.render(context)
        except TemplateFailed as error:
            at = f"body{error.place if error.place.startswith('[') else f'.{error.place}'}" if error.place else "body"
            raise TemplateFailed(f"{at}: {error}") from error

    def _rendered_url(self, context: Context) -> str:
        if self._constant_url is not None:
            return self._constant_url
        target = self.target
        url = _text("url", target.url_template, context) if target.url_template else target.url
        values = {
            name: value.reveal() if isinstance(value, Secret) else _text(f"query.{name}", value, context)
            for name, value in target.query.items()
        }
        whole = with_query(url, query_text(values))
        if len(whole) > MAX_URL:
            raise TemplateFailed(f"query: the URL is over {MAX_URL:,} characters")
        return whole

    def _rendered_headers(self, context: Context) -> dict[str, str]:
        return {
            name: _text(f"headers.{name}", template, context).strip()
            for name, template in self._header_templates.items()
        }


def new_renderer(target: Target) -> Renderer:
    """The renderer of a target."""
    return TemplateRenderer(target) if target.has_templates else Renderer(target)


def _text(place: str, template: TextTemplate, context: Context) -> str:
    try:
        return template.render(context)
    except TemplateFailed as error:
        raise TemplateFailed(f"{place}: {error}") from error


def _without(headers: Mapping[str, str], others: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in others}


def _known_of(delivery: Delivery, webhook: Webhook) -> dict[str, Json]:
    """Of an event, the fields that a webhook without one has, too."""
    return {
        "id": delivery.event_id,
        "timestamp": rfc3339(webhook.received_at),
        "source": webhook.source,
        "query": query_values(webhook.query),
    }
