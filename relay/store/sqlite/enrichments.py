"""The `EnrichStore` of the SQLite store: what was fetched beside events, and deliveries that wait for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import apsw
import orjson

from relay.model.enrich import Enrichment, HeldEvent
from relay.store import enrich_rows
from relay.store.sqlite.sql import Run, at_once, rows
from relay.store.times import to_ms

# text as blobs: text that the disk has changed would end the reading of all rows
_HELD = """
select d.event, cast(e.id as blob), w.source, iif(typeof(e.payload) = 'blob', e.payload, null), e.checksum,
  cast(d.target as blob), d.held
from (select i.event, min(i.held) as until
      from deliveries i join events e on e.seq = i.event join webhooks w on w.seq = e.webhook
      where i.held is not null and w.source in (select value from json_each(:sources))
      group by i.event order by until, i.event limit :limit) first
  join deliveries d on d.event = first.event and d.held is not null
  join events e on e.seq = d.event join webhooks w on w.seq = e.webhook
order by first.until, d.event, d.target
"""
_STORED = f"select {enrich_rows.COLUMNS} from enrichments where event in (select value from json_each(?))"
_BESIDE = f"{enrich_rows.OF_EVENTS} where e.id in (select value from json_each(?))"
# select: an event that was purged, or erased, has none
_STORE = (
    f"with given ({enrich_rows.COLUMNS}) as (values {{(?, ?, ?, ?, ?)}})"
    f" insert into enrichments ({enrich_rows.COLUMNS})"
    " select given.event, given.at, given.value, given.reason, given.checksum from given"
    " where exists (select 1 from events where seq = given.event and erased_at is null) on conflict (event) do nothing"
)
# one that is claimed, or waits for a retry, is due when it was
_END_HOLD = (
    "update deliveries set due_at = iif(claimed = 0 and due_at = held, max(:now, pending_since), due_at), held = null"
    " where event in (select value from json_each(:events)) and held is not null"
)


class SqliteEnrichments:
    """An `enrich_contract.EnrichStore` by the connections of a store."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    async def held(self, sources: Sequence[str], *, limit: int) -> Sequence[HeldEvent]:
        """See `EnrichStore.held`."""
        values = {"sources": _json(sources), "limit": limit}
        found = await self._read(lambda cursor: rows(cursor, _HELD, values))
        return enrich_rows.held(
            [(event, _text(id_), *row, _text(target), at) for event, id_, *row, target, at in found]
        )

    async def record(self, found: Sequence[Enrichment], *, now: datetime) -> Mapping[int, Enrichment]:
        """See `EnrichStore.record`."""
        return await self._write(partial(record, found=found, now=now))

    async def stored(self, events: Sequence[int]) -> Mapping[int, Enrichment]:
        """See `EnrichStore.stored`."""
        return enrich_rows.read(await self._read(lambda cursor: rows(cursor, _STORED, (_json(events),))))

    async def beside(self, event_ids: Sequence[str]) -> Mapping[str, Enrichment]:
        """See `EnrichQuestions.beside`."""
        return enrich_rows.beside(await self._read(lambda cursor: rows(cursor, _BESIDE, (_json(event_ids),))))


def record(cursor: apsw.Cursor, found: Sequence[Enrichment], now: datetime) -> dict[int, Enrichment]:
    """See `enrich_contract.EnrichStore.record`."""
    events = _json([each.row for each in found])
    at_once(cursor, _STORE, [enrich_rows.row_of(each) for each in found])
    cursor.execute(_END_HOLD, {"events": events, "now": to_ms(now)})
    return enrich_rows.read(rows(cursor, _STORED, (events,)))


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
