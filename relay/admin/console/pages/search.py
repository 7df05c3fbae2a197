"""/search?q= -> what is meant: digits are a number, hex is an id, `key:value` are filters; else what there is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from relay.admin.console.page import Page, ask, render
from relay.admin.console.pages.deliveries import FILTERS
from relay.amocrm.vocabulary import ENTITIES
from relay.errors import NotFoundError
from relay.operations.desk import Operation
from relay.operations.story import STORY, Story
from relay.operations.webhooks import EVENT, WEBHOOK, Shown

SHORTEST = 4  # characters of an id that are looked for
FIRST = ("leads", "contacts", "companies")
CALLED = {
    "lead": "leads", "contact": "contacts", "company": "companies", "customer": "customers",
    "сделка": "leads", "контакт": "contacts", "компания": "companies", "покупатель": "customers", "задача": "task",
}  # fmt: skip
"""What people call an entity -> amoCRM's word for it."""

_CARD = re.compile(r"(?:https?://)?[^\s/]+/(leads|contacts|companies|customers)/detail/([0-9]{1,20})(?![0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a text may mean: the number of an object, of this `entity` if one is named; an id; filters of deliveries."""

    number: str = ""
    entity: str = ""
    id: str = ""
    filters: tuple[tuple[str, str], ...] = ()


def meant(text: str) -> Meant:
    """Read `4831596`, `leads 4831596`, `сделка 4831596`, `019ab000-0001`, `state:dead target:dwh`, or a card's URL."""
    words = text.split()
    if linked := _CARD.match(text):
        return Meant(entity=linked[1], number=linked[2])
    if words and all(re.fullmatch(r"[a-z_]+:\S+", each) and each.partition(":")[0] in FILTERS for each in words):
        return Meant(filters=tuple((name, value) for name, _, value in (each.partition(":") for each in words)))
    if named := re.fullmatch(r"(\w+)(?:[/:]|\s+)[#№]?\s?([0-9]{1,20})", text.lower()):
        entity = CALLED.get(named[1], named[1])
        return Meant(entity=entity, number=named[2]) if entity in ENTITIES else Meant()
    number = text if re.fullmatch(r"\d{1,20}", text) else ""
    id_ = text.lower() if re.fullmatch(rf"[0-9a-fA-F-]{{{SHORTEST},36}}", text) else ""
    return Meant(number=number, id=id_)


async def get(request: web.Request) -> web.Response:
    """Go where the text leads if that is one place; else show the choice, or what can be looked for."""
    text = request.query.get("q", "").strip()
    wanted = meant(text)
    if wanted.filters:
        return _go(f"/deliveries?{urlencode(wanted.filters)}")
    if wanted.entity:
        return _go(_object(wanted.entity, wanted.number))
    found = [_object(each, wanted.number) for each in await _entities(request, wanted.number)] if wanted.number else []
    if wanted.id and not found:
        found = await _by_id(request, wanted.id)
    if len(found) == 1:
        return _go(found[0])
    return await render(request, "search.html", text=text, found=found, wanted=wanted, filters=FILTERS)


async def _entities(request: web.Request, number: str) -> list[str]:
    """The entities of which one with this number is known; those that few look for, only if there is no other."""
    return await _known(request, FIRST, number) or await _known(request, sorted(ENTITIES - {*FIRST}), number)


async def _known(request: web.Request, entities: Iterable[str], number: str) -> list[str]:
    return [each for each in entities if (await ask(request, STORY, Story(entity=each, id=number, limit=1))).data]


async def _by_id(request: web.Request, id_: str) -> list[str]:
    places: dict[str, Operation[Shown, Any]] = {"events": EVENT, "webhooks": WEBHOOK}
    for place, operation in places.items():
        try:
            await ask(request, operation, Shown(id=id_))
        except NotFoundError:
            continue
        return [f"/{place}/{quote(id_)}"]
    return []


def _object(entity: str, number: str) -> str:
    return f"/{quote(entity)}/{quote(number)}"


def _go(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})


PAGES = (Page(path="/search", handler=get),)
