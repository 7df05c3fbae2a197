"""Listings page by page, within bytes; an id -> a webhook with all that came of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import orjson

from relay.errors import ConflictError, NotFoundError
from relay.model.enrich import Enrichment
from relay.model.event_names import EventNames
from relay.store.contract import OperationsStore
from relay.store.records import DeliveryRecord, EventRecord, Filter, Page, WebhookRecord

T = TypeVar("T")

SHOWN_IDS = 4
MAX_PAGE_BYTES = 8 * 1024 * 1024
FEW = 20  # rows that are read before their bytes are counted

Names: TypeAlias = Mapping[str, Mapping[str, str]]
"""By the id of an event what amoCRM calls the things in it; without those of which nothing is known."""


async def fetched(store: OperationsStore, found: Sequence[EventRecord]) -> Mapping[str, Enrichment]:
    """What was fetched from amoCRM beside events, by their ids."""
    return await store.enrichments.beside([each.id for each in found])


async def names(store: OperationsStore, found: Sequence[DeliveryRecord], known: EventNames) -> Names:
    """The names in the events of deliveries; asks the store only if any are known."""
    ids = tuple({each.event_id for each in found})
    if not known or not ids:
        return {}
    return names_in(await store.events(Filter(event_ids=ids), limit=len(ids)), known)


def names_in(found: Sequence[EventRecord], known: EventNames) -> Names:
    """The names in events."""
    named = ((each.id, known.of(orjson.loads(each.payload))) for each in found if known and not each.corrupt)
    return {id_: names for id_, names in named if names}


async def within_bytes(
    listing: Callable[[int, str | None], Awaitable[Page[T]]], *, limit: int, after: str | None, size: Callable[[T], int]
) -> Page[T]:
    """A page that ends once its rows have `MAX_PAGE_BYTES`; `listing` gives a few of them, from a cursor on."""
    found: list[T] = []
    spent = 0
    while True:
        page = await listing(min(limit - len(found), FEW), after)
        found += page
        spent += sum(map(size, page))
        after = page.next
        if after is None or page.searched_to or len(found) >= limit or spent >= MAX_PAGE_BYTES:
            return Page(found, next_=after, searched_to=page.searched_to)


async def pages(listing: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[Page[T]]:
    """A whole listing, page by page; `listing` is called with the cursor to continue after."""
    page = await listing(None)
    while page:
        yield page
        if page.next is None:
            return
        page = await listing(page.next)


# ---- one webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The webhook that an id names, and which of its events the id means: one, or all of the webhook's.

    The events of a webhook that went to targets unparsed include the one that its raw deliveries hang on.
    """

    record: WebhookRecord
    events: tuple[EventRecord, ...]


class SeveralWebhooks(ConflictError):
    """Several webhooks have an id that begins with `start`, or an event with one: `ids` are some, or all, of theirs."""

    def __init__(self, start: str, ids: Sequence[str], *, more: bool) -> None:
        rest = ", …" if more else ""
        super().__init__(f"several webhooks have an id that starts with {start!r}: {', '.join(ids)}{rest}")
        self.start = start
        self.ids = ids
        self.more = more


async def show(store: OperationsStore, id_: str) -> Found:
    """Find a webhook by its id, by that of one of its events, or by a unique start of either.

    NotFoundError if there is none, SeveralWebhooks with some of the ids if there are several.
    """
    record = await store.show(id_) if is_start(id_) else None
    if record is None:
        raise await _none_or_several(store, id_)
    events = (*record.events, record.raw) if record.raw else record.events
    if not record.webhook.id.startswith(id_):
        events = tuple(event for event in events if event.id.startswith(id_))
    return Found(record=record, events=events)


def is_start(text: str) -> bool:
    """True for what an id could begin with."""
    return bool(text) and set(text) <= set("0123456789abcdef-")


async def _none_or_several(store: OperationsStore, id_: str) -> NotFoundError | SeveralWebhooks:
    found = await store.starting(id_, limit=SHOWN_IDS + 1) if is_start(id_) else []
    if not found:
        return NotFoundError(f"no id in the store starts with {id_[:80]!r}")
    return SeveralWebhooks(id_, found[:SHOWN_IDS], more=len(found) > SHOWN_IDS)
