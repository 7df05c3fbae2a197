"""The text of a value -> as it stands in a URL or a header, which it cannot leave."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from relay.model import Json
from relay.routes.template.values import encodable, text


@dataclass(frozen=True, slots=True)
class Form:
    """How a text is written: by which filter a value is, and how the text around is."""

    name: str
    literal: Callable[[str], str] = str


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def for_url(value: Json) -> str:
    """All but letters, digits and `-._~` percent-encoded: a part of a segment of the path, or of a query's value."""
    return quote(encodable(text(value)), safe="")


def for_query(value: Json) -> str:
    """In Unicode; who appends it to the URL encodes it."""
    return encodable(text(value))


def for_header(value: Json) -> str:
    """Control characters, line ends among them, become blanks."""
    return _CONTROL.sub(" ", encodable(text(value)))


class Place(Enum):
    """Where a text stands, which decides how what `{{ … }}` gives is escaped.

    The text around stays as written, but for the line ends of a header.
    """

    TEXT = Form("relay:text")
    URL = Form("relay:url")
    QUERY = Form("relay:query", for_query)
    HEADER = Form("relay:header", for_header)
