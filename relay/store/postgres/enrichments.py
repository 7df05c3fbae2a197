"""The `EnrichStore` of the PostgreSQL store: what was fetched beside events, and deliveries that wait for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from relay.model.enrich import Enrichment, HeldEvent
from relay.store import enrich_rows
from relay.store.postgres.acts import Acts
from relay.store.postgres.arrays import Blobs, Numbers, Texts
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.text import clean
from relay.store.times import to_ms

HELD = """
select d.event, e.id, w.source, e.payload, e.checksum, d.target, d.held
from (select i.event, min(i.held) as until
      from deliveries i join events e on e.seq = i.event join webhooks w on w.seq = e.webhook
      where i.held is not null and w.source = any(%s::text[])
      group by i.event order by until, i.event limit %s) first
  join deliveries d on d.event = first.event and d.held is not null
  join events e on e.seq = d.event join webhooks w on w.seq = e.webhook
order by first.until, d.event, d.target
"""
STORED = f"select {enrich_rows.COLUMNS} from enrichments where event = any(%s::bigint[])"
BESIDE = f"{enrich_rows.OF_EVENTS} where e.id = any(%s::text[])"
# the lock: no purge may take an event while something is stored beside it
_LOCK = """
select seq from webhooks where seq = any(array(select webhook from events where seq = any(%s::bigint[])))
order by seq for key share
"""
_STORE = f"""
insert into enrichments ({enrich_rows.COLUMNS})
select g.event, g.at, g.value, g.reason, g.checksum
from unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::text[], %s::bytea[])
  as g(event, at, value, reason, checksum)
where exists (select from events where seq = g.event and erased_at is null)
order by g.event on conflict (event) do nothing
"""
# one that is claimed, or waits for a retry, is due when it was; in order: a settle locks several of them, too
END_HOLD = """
with ended as materialized (
  select event, target from deliveries where event = any(%s::bigint[]) and held is not null
  order by event, target for update)
update deliveries d set held = null,
  due_at = case when d.claim is null and d.due_at = d.held then greatest(%s, d.pending_since) else d.due_at end
from ended where d.event = ended.event and d.target = ended.target
"""


class PostgresEnrichments:
    """An `enrich_contract.EnrichStore` by the connections of a store."""

    def __init__(self, look: Connection, acts: Acts) -> None:
        self._look = look
        self._acts = acts

    async def held(self, sources: Sequence[str], *, limit: int) -> Sequence[HeldEvent]:
        """See `EnrichStore.held`."""
        [found] = await self._look.run([(HELD, (Texts(map(clean, sources)), limit))])
        return enrich_rows.held(found)

    async def record(self, found: Sequence[Enrichment], *, now: datetime) -> Mapping[int, Enrichment]:
        """See `EnrichStore.record`."""
        events, at, values, reasons, checksums = zip(*map(enrich_rows.row_of, found), strict=True)
        asked = Numbers(events)
        given = (asked, Numbers(at), Blobs(values), Texts(map(clean, reasons)), Blobs(checksums))

        async def write(transaction: Transaction) -> dict[int, Enrichment]:
            await transaction.rows(_LOCK, (asked,))
            await transaction.rows(_STORE, given)
            await transaction.rows(END_HOLD, (asked, to_ms(now)))
            return enrich_rows.read(await transaction.rows(STORED, (asked,)))

        return await self._acts.commit(write)

    async def beside(self, event_ids: Sequence[str]) -> Mapping[str, Enrichment]:
        """See `EnrichQuestions.beside`."""
        [found] = await self._look.run([(BESIDE, (Texts(map(clean, event_ids)),))])
        return enrich_rows.beside(found)

    async def stored(self, events: Sequence[int]) -> Mapping[int, Enrichment]:
        """See `EnrichStore.stored`."""
        [found] = await self._look.run([(STORED, (Numbers(events),))])
        return enrich_rows.read(found)
