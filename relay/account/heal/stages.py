"""A feed event of a lead, or of its contact -> the triggers of the stage that the lead was in at that time.

The account knows the stage that a lead is in now; the moves that came later, in the feed, undo it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from relay.account.heal.channels import DpChannel, Stage, stage_of
from relay.account.heal.expected import ExpectedWebhook, expected_at_stage
from relay.account.heal.feed_events import FeedEvent, feed_events, has_next, stage
from relay.account.heal.reader import PATH, Get
from relay.model import Json

MOST_LEADS = 10
"""Leads of a contact that are looked at."""


class StageHistory:
    """Asks the account, by `get`, each question once."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._stages: dict[tuple[int, datetime, bool], Stage | None] = {}

    async def expected(self, event: FeedEvent, action: str, triggers: Sequence[DpChannel]) -> list[ExpectedWebhook]:
        """The webhooks of those of `triggers` in whose stage a lead of the event was. Raises an AccountError."""
        found = []
        for lead in await self._leads(event):
            at = await self._stage_at(lead, event.at, of_addition=action == "add")
            found += [expected_at_stage(lead, action, each) for each in triggers if each.stage == at]
        return found

    async def _leads(self, event: FeedEvent) -> Iterable[int]:
        if event.entity == "leads":
            return [event.entity_id]
        if event.entity != "contacts":
            return []
        contact = await self._get(f"/api/v4/contacts/{event.entity_id}", {"with": "leads"}) or {}
        leads = contact.get("_embedded", {}).get("leads") or []
        return [each["id"] for each in leads if isinstance(each, Mapping) and "id" in each][:MOST_LEADS]

    async def _stage_at(self, lead: int, at: datetime, *, of_addition: bool) -> Stage | None:
        """The stage that a lead was in; right after its addition, whatever moved it in the same second."""
        place = (lead, at, of_addition)
        if place not in self._stages:
            moves = [each for each in await self._moves(lead, at) if each.at > at or of_addition]
            first = min(moves, key=lambda each: (each.at, each.id), default=None)
            now = await self._get(f"/api/v4/leads/{lead}", {}) if first is None else None
            self._stages[place] = stage(first.before) if first else stage_of(now or {})
        return self._stages[place]

    async def _moves(self, lead: int, since: datetime) -> list[FeedEvent]:
        asked: Mapping[str, Json] = {
            "filter[entity][]": "lead",
            "filter[entity_id][]": lead,
            "filter[type][]": "lead_status_changed",
            "filter[created_at][from]": int(since.timestamp()),
            "limit": 100,
        }
        moves: list[FeedEvent] = []
        page = 1
        while answer := await self._get(PATH, {**asked, "page": page}):
            moves += feed_events(answer)
            if not has_next(answer):
                break
            page += 1
        return moves
