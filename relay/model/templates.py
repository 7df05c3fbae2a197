"""What a compiled template of the routes file does; relay/routes/template compiles them, and alone knows how.

A context is a mapping of top-level names to JSON values: `event_context`, `batch_context`, `answer_context`. What it
lacks is an empty text, or null where a string is one expression.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relay.model.values import Json

Context = Mapping[str, Json]


class TextTemplate(Protocol):
    """A text of the routes file: a header value, a URL, the value of a query."""

    @property
    def fields(self) -> frozenset[str]:
        """Dotted paths that it reads: `data.id`, `entity`, `names.status`.

        Lists are walked through, whether by a loop or by a position: `data.tags.name`. In a batch: `events.data.id`.
        """

    def render(self, context: Context) -> str:
        """Return the text; TemplateFailed if there is none for this context."""


class BodyTemplate(Protocol):
    """The body of a request."""

    @property
    def content_type(self) -> str:
        """`application/json` for a mapping or a list, `text/plain; charset=utf-8` for a text."""

    @property
    def fields(self) -> frozenset[str]:
        """See TextTemplate."""

    def render(self, context: Context) -> bytes:
        """Return the body, at most 1 MB; TemplateFailed if there is none for this context."""


class Expression(Protocol):
    """A value: `ok_if`, `retry_after`."""

    @property
    def fields(self) -> frozenset[str]:
        """See TextTemplate."""

    def evaluate(self, context: Context) -> Json:
        """Return the value, None if the context lacks it; TemplateFailed if there is none for this context."""


def event_context(event: Mapping[str, Json], names: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Context of one event, a mapping as targets receive it; the names of its ids, and what is fetched beside it."""
    return {**event, "event": event, "names": names or {}, "enriched": event.get("enriched") or {}}


def batch_context(events: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Context of a batch; each event may have its own `names` and `enriched`."""
    return {"events": events, "names": {}, "enriched": {}}


def answer_context(status: int, headers: Mapping[str, str], answer: Json) -> dict[str, Json]:
    """Context of a response: header names in lower case, `answer` is the JSON of its body."""
    return {"status": status, "headers": {name.lower(): value for name, value in headers.items()}, "answer": answer}
