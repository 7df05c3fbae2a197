"""What an event is about, what is wanted beside it, and cards -> which cards are needed, and the value. Pure."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple, TypeAlias

from relay.amocrm.cards import Subject, only
from relay.model import Json
from relay.model.enrich import Enrich, Part

Card: TypeAlias = Mapping[str, Json]
Look: TypeAlias = Callable[[Subject], Card | None]
"""Returns a card that was fetched; None: amoCRM has it no more."""

_ITSELF = {"leads": Part.LEAD, "contacts": Part.CONTACTS, "companies": Part.COMPANY}
_LINKED = {
    "leads": {Part.CONTACTS: "contacts", Part.COMPANY: "companies"},
    "contacts": {Part.COMPANY: "companies"},
    "companies": dict[Part, str](),
}


class Wanted(NamedTuple):
    """An event by its row, its subject, what is to be fetched. `changed_at`: when the subject changed, by the body."""

    row: int
    about: Subject
    enrich: Enrich
    until: datetime
    changed_at: int | None = None

    @property
    def links(self) -> Mapping[Part, str]:
        """The parts that are cards linked to the one it is about, and their kind."""
        return {part: kind for part, kind in _LINKED[self.about.kind].items() if part in self.enrich.parts}

    @property
    def needed(self) -> bool:
        """Whether anything is to be fetched: a company has no lead beside it."""
        return _ITSELF[self.about.kind] in self.enrich.parts or bool(self.links)


def linked(wanted: Wanted, card: Card | None) -> Iterator[Subject]:
    """Yield the cards that are to be fetched beside this one."""
    for part, kind in wanted.links.items():
        yield from _of(card, part, kind)


def value(wanted: Wanted, look: Look) -> dict[str, Json]:
    """Return what is stored beside the event, once all its cards are there; a card that is gone is None, or no item."""
    card = look(wanted.about) if wanted.needed else None
    made: dict[str, Json] = {}
    for part, fields in wanted.enrich.parts.items():
        if part is _ITSELF[wanted.about.kind]:
            found = [card] if card else []
        elif part in wanted.links:
            found = _linked_cards(card, part, wanted.links[part], look)
        else:
            continue
        shown = [only(each, fields) for each in found]
        made[part.value] = shown if part is Part.CONTACTS else next(iter(shown), None)
    return made


def _linked_cards(card: Card | None, part: Part, kind: str, look: Look) -> list[Card]:
    main = {each["id"] for each in _embedded(card, kind) if each.get("is_main")}
    found = [(about, look(about)) for about in _of(card, part, kind)]
    return [
        {**each, "is_main": about.number in main} if part is Part.CONTACTS else each for about, each in found if each
    ]


def _of(card: Card | None, part: Part, kind: str) -> list[Subject]:
    linked_cards = [Subject(kind, each["id"]) for each in _embedded(card, kind) if isinstance(each.get("id"), int)]
    return linked_cards if part is Part.CONTACTS else linked_cards[:1]


def _embedded(card: Card | None, kind: str) -> list[Card]:
    embedded = (card or {}).get("_embedded")
    listed = embedded.get(kind) if isinstance(embedded, dict) else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
