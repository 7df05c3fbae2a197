"""Deliveries -> with `enriched` in their payloads: what was fetched beside their events, as far as their target asks.

What is stored counts, so every attempt has the same. If nothing is stored when the first attempt is made, it is stored
that nothing is there.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson

from relay.amocrm import cards, events
from relay.delivery.retry_busy import retry_busy
from relay.model import Delivery, Json
from relay.model.enrich import LATE, Enrich, Enrichment
from relay.rfc3339 import rfc3339
from relay.store.contract import DeliveryStore

NOTHING = "there is no lead, contact or company that the event is about"


async def enriched(
    deliveries: Sequence[Delivery], enrich: Enrich, *, store: DeliveryStore, now: datetime
) -> list[Delivery]:
    """Return them with `enriched`, but raw and corrupt ones as they are."""
    bare = {each.row: each for each in deliveries if each.payload and not each.corrupt}
    if not bare:
        return [*deliveries]
    found = {**await retry_busy(lambda: store.enrichments.stored([*bare]))}
    if missing := [Enrichment(row=row, at=now, reason=_why(bare[row])) for row in bare if row not in found]:
        found |= {each.row: each for each in missing}  # also of events that were purged
        found |= await retry_busy(lambda: store.enrichments.record(missing, now=now))
    return [with_enriched(each, enrich, found[each.row]) if each.row in found else each for each in deliveries]


def with_enriched(delivery: Delivery, enrich: Enrich, found: Enrichment) -> Delivery:
    """Return the delivery with that in its payload."""
    added = orjson.dumps(_shown(enrich, found))
    return replace(delivery, payload=b"%s,%s" % (delivery.payload.rstrip()[:-1], added[1:]))


def _shown(enrich: Enrich, found: Enrichment) -> dict[str, Json]:
    if found.value is None:
        return {"enriched": None, "enriched_reason": found.reason}
    parts = {
        part.value: _only(found.value[part], fields) for part, fields in enrich.parts.items() if part in found.value
    }
    return {"enriched": {**parts, "at": rfc3339(found.at)}}


def _only(part: Json, fields: Sequence[str]) -> Json:
    """The fields that this target asks for; others may have asked for more."""
    if isinstance(part, list):
        return [cards.only(each, fields) for each in part]
    return part and cards.only(part, fields)


def _why(delivery: Delivery) -> str:
    try:
        about = cards.subject(events.load(delivery.payload))
    except (ValueError, KeyError, TypeError):  # no event of this relay
        about = None
    return LATE if about else NOTHING
