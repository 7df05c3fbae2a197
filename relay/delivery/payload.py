"""Event and format -> body, and its content type. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import quote, urlencode

import orjson

from relay.amocrm import events, form
from relay.model import Format
from relay.model.event_names import EventNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What amoCRM sent of an event: its `original_body`, and the query of the URL it was posted to."""

    body: bytes
    query: str = ""


CONTENT_TYPES: Mapping[Format, str] = {
    Format.JSON: "application/json",
    Format.CLOUDEVENTS: "application/cloudevents+json; charset=utf-8",
    Format.FORM: "application/x-www-form-urlencoded",
}


def body(payload: bytes, format_: Format, original: bytes | None = None) -> bytes:
    """Body of the event in `format_`: `payload` is its JSON, `original` its `original_body`."""
    match format_:
        case Format.JSON:
            return payload
        case Format.CLOUDEVENTS:
            return _cloudevent(payload)
        case Format.FORM:
            if original is None:
                raise ValueError("format form needs what amoCRM sent")
            return original
        case never:
            assert_never(never)


def with_names(payload: bytes, names: EventNames) -> bytes:
    """The JSON of an event, or of the list of a batch, with the names of what each event's ids stand for."""
    whole = orjson.loads(payload)
    if isinstance(whole, list):
        return b"[%s]" % b",".join([_named(orjson.dumps(event), names.of(event)) for event in whole])
    return _named(payload, names.of(whole))


def _named(event: bytes, names: Mapping[str, str]) -> bytes:
    return b'%s,"names":%s}' % (event.rstrip()[:-1], orjson.dumps(names))


def query_text(values: Mapping[str, str]) -> str:
    """`{"lead": "7", "name": "Окна"}` -> `lead=7&name=%D0%9E%D0%BA%D0%BD%D0%B0`; empty if there are none."""
    return urlencode(values, quote_via=quote, safe="")


def with_query(url: str, query: str) -> str:
    """Append `query` unchanged to `url`, which may have a query of its own and has no fragment."""
    if not query:
        return url
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{query}"


def _cloudevent(payload: bytes) -> bytes:
    """CloudEvents 1.0, structured mode; `data` is our event."""
    event = orjson.loads(payload)
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event["id"],
            "source": f"/amocrm/{quote(event['source'], safe='')}",
            "type": f"com.amocrm.{event['type']}",
            "time": event["timestamp"],
            "datacontenttype": "application/json",
            "data": orjson.Fragment(payload),
        }
    )


def original_body(webhook: bytes, content_type: str, *, position: int, of: int) -> bytes:
    """The body that amoCRM sent or, if the webhook has several events, would have sent for this one alone.

    `position` counts its `of` events from 0. UnreadableError if several were read by `relay reparse --charset`.
    """
    if of == 1 and webhook.lstrip()[:1] not in (b"{", b"["):
        return webhook
    return form.encode(events.isolate(form.decode(webhook, content_type), position))
