"""A lane and a window of time -> the events of the account's feed in it, by pages of `GET /api/v4/events`.

The feed is newest first whatever is asked, has no totals, and its pages are counted anew for each request. So a window
must end in the past, when nothing is added to it any more; one that seems to have moved is read once again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from relay.account.heal.feed_events import FeedEvent, feed_events, has_next
from relay.account.heal.lanes import Lane
from relay.errors import RequestRefused
from relay.model import Json

PATH = "/api/v4/events"
MAX_PAGES = 40
"""Pages of a window; one with more is read by halves."""
MAX_TYPES = 20
"""Types in one request."""
PAGE, PAGE_OF_KOMMO = 100, 250
BAD_FILTER = 400

Params: TypeAlias = Mapping[str, str | int | Sequence[str | int]]
Get: TypeAlias = Callable[[str, Params], Awaitable[Mapping[str, Json] | None]]
"""Ask the account for a path with parameters; None for 204. Raises an AccountError."""


class FeedReader:
    """Reads windows of one account's feed; remembers which types the account refuses."""

    def __init__(self, get: Get, *, kommo: bool = False) -> None:
        self._get = get
        self._limit = PAGE_OF_KOMMO if kommo else PAGE
        self._refused: set[tuple[str, str]] = set()

    async def read(self, lane: Lane, since: datetime, until: datetime) -> list[FeedEvent]:
        """The lane's events from `since` to `until`, oldest first, each once. Raises an AccountError."""
        first, last = int(since.timestamp()), int(until.timestamp())
        wanted = [each for each in lane.types if (lane.name, each) not in self._refused]
        found: dict[str, FeedEvent] = {}
        for types in [wanted[n : n + MAX_TYPES] for n in range(0, len(wanted), MAX_TYPES)] if lane.types else [[]]:
            found |= await self._read_types(lane, types, first, last)
        return sorted((each for each in found.values() if lane.takes(each.type)), key=lambda each: (each.at, each.id))

    async def _read_types(self, lane: Lane, types: list[str], first: int, last: int) -> dict[str, FeedEvent]:
        """Read the events of these types; of types that the account refuses together, those of each half."""
        try:
            return await self._read_window(lane, types, first, last)
        except RequestRefused as error:
            if error.status != BAD_FILTER or not types:
                raise
        if len(types) == 1:
            self._refused.add((lane.name, types[0]))
            return {}
        half = len(types) // 2
        older = await self._read_types(lane, types[:half], first, last)
        return older | await self._read_types(lane, types[half:], first, last)

    async def _read_window(self, lane: Lane, types: Sequence[str], first: int, last: int) -> dict[str, FeedEvent]:
        found, whole, still = await self._read_pages(lane, types, first, last, most=MAX_PAGES if first < last else None)
        if not whole:
            half = (first + last) // 2
            return await self._read_window(lane, types, first, half) | await self._read_window(
                lane, types, half + 1, last
            )
        if not still:
            again, _, _ = await self._read_pages(lane, types, first, last, most=None)
            found |= again
        return found

    async def _read_pages(
        self, lane: Lane, types: Sequence[str], first: int, last: int, *, most: int | None
    ) -> tuple[dict[str, FeedEvent], bool, bool]:
        """The events of a window, whether all pages were read, and whether they stood still meanwhile."""
        found: dict[str, FeedEvent] = {}
        still, page = True, 1
        while True:
            answer = await self._get(PATH, self._params(lane, types, first, last, page))
            if answer is None:
                return found, True, still and page == 1  # there was to be a page
            events = feed_events(answer)
            still = still and not any(each.id in found for each in events)
            found |= {each.id: each for each in events if first <= each.at.timestamp() <= last}
            if not has_next(answer):
                return found, True, still
            if page == most:
                return {}, False, still
            page += 1

    def _params(self, lane: Lane, types: Sequence[str], first: int, last: int, page: int) -> Params:
        span: Params = {"filter[created_at][from]": first, "filter[created_at][to]": last}
        named: Params = {"filter[type][]": types} if types else {}
        return {**lane.params, **named, **span, "limit": self._limit, "page": page}
