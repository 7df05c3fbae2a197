"""A target's URL -> what goes out of it. Pure.

What is ASCII goes out byte for byte: a signature over the URL holds, and `%2F` stays another thing than `/`. A host
name in other letters goes out in its IDNA form, a path or a query with other letters percent-encoded as UTF-8. There
is neither a user nor a fragment in a URL: the routes file refuses them.
"""

import re

from yarl import URL

_ORIGIN = re.compile(r"[^:/?#]+://[^/?#]*")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x20\x7f]")
_PLACE = re.compile(r"\$\{[^}]*\}")


def request_target(url: str) -> str:
    """Path and query for the request line (RFC 9112 §3.2.1); ValueError if there can be none."""
    path, mark, query = _ORIGIN.sub("", url, count=1).partition("#")[0].partition("?")
    sent = (path if path.isascii() else URL(url).raw_path) or "/"
    sent += mark + (query if query.isascii() else URL(url).raw_query_string)
    if not sent.startswith("/") or _NOT_IN_A_LINE.search(sent):
        raise ValueError("not a URL that can be asked")
    return sent


def as_sent(url: str, written: str) -> str:
    """`written`, which is `url` with `${…}` in the place of secrets, in the letters that go out."""
    if url.isascii():
        return written
    places: list[str] = []

    def keep(place: re.Match[str]) -> str:
        places.append(place[0])
        return f"relay0place{len(places) - 1}x"

    try:
        marked = _PLACE.sub(keep, written)
        shown = f"{URL(marked).origin()}{request_target(marked)}"
    except ValueError:  # the scheme or the host is a secret, too
        return written
    for number, place in enumerate(places):
        shown = shown.replace(f"relay0place{number}x", place)
    return shown
