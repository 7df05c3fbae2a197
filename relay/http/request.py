"""A request to a target, ready to be sent, and the request target (path and query) of its URL on the wire. Pure.

ASCII goes out byte for byte: a signature over the URL holds, and `%2F` stays different from `/`. A host name with other
letters goes out in its IDNA form, a path or query with other letters percent-encoded as UTF-8. A URL has neither a user
nor a fragment: the routes file refuses them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

_ORIGIN = re.compile(r"[^:/?#]+://[^/?#]*")
_NOT_IN_A_REQUEST_LINE = re.compile(r"[\x00-\x20\x7f]")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each attempt, and that takes three times as long
class Request:
    """A POST, PUT or PATCH, ready to be sent, or a probe; header names are in lower case. URL and headers are secret.

    `headers` are the same object in many requests: a client may keep what it made of them. `own_headers` are those of
    this request alone; no name is in both. `secrets` are the texts in URL and headers that may be secret, longest
    first: they are masked in an answer that repeats them.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"
    own_headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    secrets: tuple[str, ...] = field(repr=False, default=())

    @property
    def all_headers(self) -> Mapping[str, str]:
        """Both kinds."""
        return {**self.headers, **self.own_headers}


def request_target(url: str) -> str:
    """Path and query for the request line (RFC 9112 §3.2.1). ValueError for a URL that no request can be sent to."""
    path, mark, query = _ORIGIN.sub("", url, count=1).partition("#")[0].partition("?")
    sent = (path if path.isascii() else URL(url).raw_path) or "/"
    sent += mark + (query if query.isascii() else URL(url).raw_query_string)
    if not sent.startswith("/") or _NOT_IN_A_REQUEST_LINE.search(sent):
        raise ValueError("not a URL that a request can be sent to")
    return sent


def as_sent(url: str, written: str) -> str:
    """Show `written` (the URL with `${…}` in place of secrets) in the letters that `url` puts on the wire."""
    if url.isascii():
        return written
    placeholders: list[str] = []

    def keep(placeholder: re.Match[str]) -> str:
        placeholders.append(placeholder[0])
        return f"relay0place{len(placeholders) - 1}x"

    try:
        marked = _PLACEHOLDER.sub(keep, written)
        shown = f"{URL(marked).origin()}{request_target(marked)}"
    except ValueError:  # the scheme or the host is a secret, too
        return written
    for number, placeholder in enumerate(placeholders):
        shown = shown.replace(f"relay0place{number}x", placeholder)
    return shown
