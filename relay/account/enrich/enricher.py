"""Held events of one account -> what is fetched beside them, recorded once; past their hold that there is none.

What is recorded goes to targets, so a reason never has the text of an answer.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from relay.account.enrich.assemble import Wanted
from relay.account.enrich.fetch import Api, Cards
from relay.amocrm import events
from relay.amocrm.cards import subject
from relay.errors import AccountAway, AccountError, Blocked, RateLimited, TokenRefused, Unpaid
from relay.model import Event, Json, Target
from relay.model.enrich import HOLD, LATE, Enrich, Enrichment, HeldEvent
from relay.signals import Emit
from relay.signals.account import Enriched, EnrichOutcome
from relay.store.contract import EnrichStore

EVERY = 0.25  # seconds between two looks: what came meanwhile is asked for together
MOST = 50  # events of one look
AGAIN = 1.0  # seconds after amoCRM did not answer
SHORTEST = timedelta(seconds=0.5)  # that is left for a fetch whose events are to go out

UNASKED = "its target asks for nothing any more"
UNREADABLE = "the event cannot be read"


class Enricher:
    """Fetches what targets want beside the events of an account's sources. Called by one relay alone."""

    def __init__(
        self,
        account: str,
        sources: Sequence[str],
        targets: Mapping[str, Target],
        *,
        api: Api,
        store: EnrichStore,
        emit: Emit,
        clock: Callable[[], datetime],
    ) -> None:
        self._account = account
        self._sources = sources
        self._targets = targets
        self._cards = Cards(api)
        self._store = store
        self._emit = emit
        self._clock = clock

    async def look(self) -> float:
        """Fetch for what is held, and record it; return in how many seconds to look again."""
        held = await self._store.held(self._sources, limit=MOST)
        if not held:
            return EVERY
        found, why = await self._fetched([*self._wanted(held)])
        now = self._clock()
        made = [each for event in held if (each := self._enrichment(event, found, why, now))]
        if made:
            stored = await self._store.record(made, now=now)
            for event in held:
                if event.row in stored:
                    self._announce(event, stored[event.row], now)
        if why:
            return AGAIN
        return 0.0 if len(held) == MOST else EVERY

    def _wanted(self, held: Sequence[HeldEvent]) -> Iterator[Wanted]:
        for each in held:
            event, enrich = _event(each), self._enrich(each)
            about = subject(event) if event else None
            if event and enrich.parts and about:
                changed_at = event.data.get("updated_at") if event.entity == about.kind else None
                yield Wanted(each.row, about, enrich, each.until, changed_at if isinstance(changed_at, int) else None)

    def _enrich(self, held: HeldEvent) -> Enrich:
        wanted = [target.enrich for name in held.targets if (target := self._targets.get(name)) and target.enrich]
        return Enrich.union(wanted)

    async def _fetched(self, wanted: Sequence[Wanted]) -> tuple[dict[int, Json], AccountError | None]:
        """Return the values by row; and what kept them from being fetched, then there are none."""
        if not wanted:
            return {}, None
        left = max(max(each.until for each in wanted) - self._clock(), SHORTEST)
        try:
            async with asyncio.timeout(left.total_seconds()):
                return {**await self._cards.values(wanted)}, None
        except TimeoutError:
            return {}, AccountAway(LATE)
        except AccountError as error:
            return {}, error
        except (AttributeError, KeyError, TypeError) as error:  # JSON of another shape than the API's
            return {}, AccountError(f"amoCRM's answer cannot be read: {type(error).__name__}")

    def _enrichment(
        self, held: HeldEvent, found: Mapping[int, Json], why: AccountError | None, now: datetime
    ) -> Enrichment | None:
        """Return what is to be recorded; None: ask again, the hold has not passed."""
        if held.row in found:
            return Enrichment(row=held.row, at=now, value=found[held.row])
        if why is None:
            return Enrichment(row=held.row, at=now, reason=UNASKED if _event(held) else UNREADABLE)
        if isinstance(why, AccountAway | RateLimited) and now < held.until:
            return None
        return Enrichment(row=held.row, at=now, reason=_reason(why))

    def _announce(self, held: HeldEvent, stored: Enrichment, now: datetime) -> None:
        if stored.value is not None:
            gone = not any(stored.value.values())
            outcome = EnrichOutcome.GONE if gone else EnrichOutcome.FETCHED
        else:
            outcome = EnrichOutcome.LATE if stored.reason == LATE else EnrichOutcome.FAILED
        self._emit(Enriched(account=self._account, outcome=outcome, took=now - (held.until - HOLD)))


def _event(held: HeldEvent) -> Event | None:
    try:
        return events.load(held.payload) if held.payload else None
    except (ValueError, KeyError, TypeError):
        return None


def _reason(why: AccountError) -> str:
    match why:
        case TokenRefused():
            return "amoCRM refuses the account's token"
        case Unpaid():
            return "the account is not paid for"
        case Blocked():
            return "amoCRM blocks the account's API"
        case AccountAway() | RateLimited():
            return LATE
        case _:
            return "amoCRM's API refuses it"
