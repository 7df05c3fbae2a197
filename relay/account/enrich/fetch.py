"""Numbers of leads, contacts and companies -> their cards: of the cache, of one list, or one by one."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from relay.account.enrich.assemble import Card, Wanted, linked, value
from relay.account.limiter import Priority
from relay.account.session import Params
from relay.amocrm.cards import Subject
from relay.model import Json

MOST = 50  # cards of one list
CACHED = 1_000  # cards
_WITH = {"leads": "contacts"}


class Api(Protocol):
    """What is asked for the account; see `AccountClient.get`."""

    async def get(
        self, path: str, params: Params | None = None, *, priority: Priority = Priority.HEAL
    ) -> Mapping[str, Json] | None:
        """Return the JSON, None for nothing. Raises an AccountError."""


class Cards:
    """Fetches cards of one account.

    A list is trusted until it has a card that was not asked for: accounts without amoCRM's filters get anything. A card
    is taken of the cache only for an event whose body tells of a change that the card shows.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lists = True
        self._cached: dict[Subject, Card] = {}

    async def values(self, wanted: Collection[Wanted]) -> dict[int, dict[str, Json]]:
        """Return what is to be stored beside these events, by row. Raises an AccountError."""
        asked = [each for each in wanted if each.needed]
        cached = {each.about: card for each in asked if (card := self._known(each))}
        found: dict[Subject, Card | None] = {**cached}
        await self._fetch({each.about for each in asked} - cached.keys(), found)
        await self._fetch({one for each in asked for one in linked(each, found[each.about])} - found.keys(), found)
        return {each.row: value(each, found.__getitem__) for each in wanted}

    def _known(self, wanted: Wanted) -> Card | None:
        """A card of the cache that shows the change; one of the same second may lack another change of that second."""
        card = self._cached.get(wanted.about)
        if card is None or wanted.changed_at is None:
            return None
        updated_at = card.get("updated_at")
        return card if isinstance(updated_at, int) and updated_at > wanted.changed_at else None

    async def _fetch(self, asked: Collection[Subject], found: dict[Subject, Card | None]) -> None:
        for kind in sorted({each.kind for each in asked}):
            for numbers in _chunks(sorted(each.number for each in asked if each.kind == kind)):
                fetched = await self._listed(kind, numbers) if len(numbers) > 1 and self._lists else None
                for number in numbers:
                    about = Subject(kind, number)
                    found[about] = await self._one(about) if fetched is None else fetched.get(number)
                    self._remember(about, found[about])

    async def _listed(self, kind: str, numbers: list[int]) -> dict[int, Card] | None:
        """The cards that there are; None if the list has others."""
        params: Params = {"filter[id][]": numbers, "limit": MOST, **_params(kind)}
        answer = await self._api.get(f"/api/v4/{kind}", params, priority=Priority.ENRICH)
        listed = (answer or {}).get("_embedded", {}).get(kind, [])
        cards = {each["id"]: each for each in listed}
        if cards.keys() <= {*numbers}:
            return cards
        self._lists = False
        return None

    async def _one(self, about: Subject) -> Card | None:
        path = f"/api/v4/{about.kind}/{about.number}"  # one that is gone is 204; 404 is a host without an account
        return await self._api.get(path, _params(about.kind), priority=Priority.ENRICH)

    def _remember(self, about: Subject, card: Card | None) -> None:
        self._cached.pop(about, None)
        if card is not None:
            self._cached[about] = card
            while len(self._cached) > CACHED:
                del self._cached[next(iter(self._cached))]


def _params(kind: str) -> dict[str, str]:
    return {"with": _WITH[kind]} if kind in _WITH else {}


def _chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    left = iter(numbers)
    while chunk := [*islice(left, MOST)]:
        yield chunk
