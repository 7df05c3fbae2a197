"""A match in the document -> the texts that it asks for, one by one, each with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.routes.config import Config
from relay.routes.diagnostics import Where
from relay.routes.fields import as_text

_COMPARED = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A text that a field is compared with; `operator` is empty for a plain value."""

    where: Where
    operator: str
    text: str

    @property
    def consequence(self) -> str:
        """What follows if no value can ever be that text."""
        return "always holds" if self.operator == "not" else "never matches"


def asked(config: Config, where: Where) -> Iterator[Asked]:
    """What the condition at `where` compares with; nothing of what came from variables, which may be secret."""
    value = config.document.at(where)
    if not isinstance(value, Mapping):
        yield from _texts(config, where, "")
        return
    for operator in ("not", "like", *_COMPARED):
        if operator in value:
            yield from _texts(config, (*where, operator), operator)


def _texts(config: Config, where: Where, operator: str) -> Iterator[Asked]:
    value = config.document.at(where)
    for place in [(*where, index) for index in range(len(value))] if isinstance(value, list) else [where]:
        if place not in config.document.written:
            yield Asked(where=place, operator=operator, text=as_text(config.document.at(place)))
