"""A notification -> the payload of an incoming webhook (docs.slack.dev, "Sending messages using incoming webhooks").

It answers `200 ok`, 429 with Retry-After, or a status and one word: `invalid_payload`, `no_service`, …
"""

import orjson

from relay.notify.notification import Notification

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""All three, and no others, are control characters in its texts."""


def body(said: Notification) -> bytes:
    """A text without markup."""
    return orjson.dumps({"text": said.text.translate(_ESCAPES), "unfurl_links": False})
