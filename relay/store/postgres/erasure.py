"""The `ErasureStore` of the PostgreSQL store: found without a lock, erased in transactions of some ms."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from relay.model.erasure import ERASED, Extent, Tombstone
from relay.store.checksum import checksum
from relay.store.enrich_rows import erased_row
from relay.store.erasure_records import ErasedEvent, ErasedWebhook, OpenErasure, StoredWebhook
from relay.store.erasure_rows import tombstone_of, webhook_of
from relay.store.erasure_texts import TEXTS, TextColumn, changes
from relay.store.heal_rows import ERASE_RECORDS
from relay.store.postgres import audit
from relay.store.postgres.acts import Acts
from relay.store.postgres.arrays import Blobs, Numbers, Texts
from relay.store.postgres.buried import TOMBSTONES
from relay.store.postgres.claims import UNBLOCK
from relay.store.postgres.clock import NOW
from relay.store.postgres.connection import Connection, Row, Transaction
from relay.store.postgres.locks import take_of
from relay.store.postgres.text import clean, clean_or_none
from relay.store.records import AuditEntry
from relay.store.times import from_ms, to_ms

MOST_BYTES = 4 * 1024 * 1024  # of one page
CHUNK = 20  # webhooks of a transaction
PAUSE = 0.02  # seconds between transactions, in which others write
PAGE = 1_000  # texts
LOCK_WITHIN = "2s"  # for the lock of a table that is rewritten: later transactions wait behind it
REWRITE_WITHIN = 3600.0  # seconds for one table

REWRITTEN = ("webhooks", "events", "deliveries", "attempts", "enrichments", "audit", "conditions", "pauses", "reports",
             "guards", "heal_events", "heal_requests")  # fmt: skip
"""Every table with texts."""

SIZES = """
select w.seq, octet_length(w.body)
  + coalesce((select sum(octet_length(e.payload)) from events e where e.webhook = w.seq), 0)
from webhooks w where w.seq > %s order by w.seq limit %s
"""
WEBHOOKS = """
select seq, id, source, received_at, content_type, body, query, unparsed from webhooks
where seq = any(%s::bigint[]) order by seq
"""
EVENTS = """
select e.webhook, e.seq, e.id, e.payload, e.kind = 'unparsed', e.erased_at is not null, n.value
from events e left join enrichments n on n.event = e.seq
where e.webhook = any(%s::bigint[]) order by e.webhook, e.seq
"""
_BURY = """
insert into tombstones as t (entity, entity_id, source, at, act) values (%s, %s, %s, %s, %s)
on conflict (entity, entity_id, source) do update set at = greatest(t.at, excluded.at), act = excluded.act
"""
_OPEN = "insert into erasures (act, at) values (%s, %s) on conflict (act) do nothing"
_AGAIN = "delete from erased_spools where act = %s"
_ERASE_RECORDS = re.sub(r":(\w+)", r"%(\1)s", ERASE_RECORDS)
# the lock: no purge may take a webhook meanwhile; in order, as everybody takes them
_LOCK = "select seq from webhooks where seq = any(%s::bigint[]) order by seq for no key update"
_KEYS = take_of("select key from deliveries where event = any(%(events)s::bigint[]) and state = 'pending'")
ERASE_WEBHOOKS = """
update webhooks w set body = g.body, checksum = g.checksum, query = g.query, unparsed = g.unparsed
from unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::text[], %s::text[]) as g(seq, body, checksum, query, unparsed)
where w.seq = g.seq
"""
ERASE_EVENTS = """
update events e set payload = g.payload, checksum = g.checksum, erased_at = coalesce(g.erased_at, e.erased_at)
from unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::bigint[]) as g(seq, payload, checksum, erased_at)
where e.seq = g.seq
"""
ERASE_ENRICHMENTS = """
update enrichments n set value = g.value, reason = g.reason, checksum = g.checksum
from unnest(%s::bytea[], %s::text[], %s::bytea[], %s::bigint[]) as g(value, reason, checksum, event)
where n.event = g.event and n.value is not null
"""
ERASE_ATTEMPTS = "update attempts set detail = '' where event = any(%s::bigint[]) and detail <> ''"
KILL = """
with pending as materialized (
  select event, target from deliveries where event = any(%(events)s::bigint[]) and state = 'pending'
  order by event, target for update)
update deliveries d set state = 'dead', claim = null, due_at = null, held = null, settled_at = %(now)s, why = %(why)s,
  dismissed_at = %(now)s
from pending p where d.event = p.event and d.target = p.target
returning d.event, d.target
"""
DISMISS = """
update deliveries set dismissed_at = %(now)s
where event = any(%(events)s::bigint[]) and state = 'dead' and dismissed_at is null
"""
_DISMISSED = """
delete from dismissed where webhook = any(%s::bigint[])
  and not exists (select from webhooks w where w.seq = dismissed.webhook and w.unparsed is not null)
"""  # what is listed there is unparsed
ATTEMPTS = """
select event, target, number, started_at, detail from attempts
where (event, target, number) > (%s, %s, %s) and detail <> '' order by event, target, number limit %s
"""
REQUESTS = "select distinct target, started_at from attempts where event = any(%s::bigint[])"
_BLANK = """
update attempts a set detail = '' from unnest(%s::bigint[], %s::text[], %s::bigint[]) as g(event, target, number)
where a.event = g.event and a.target = g.target and a.number = g.number
"""
# a relay that is gone and left nothing has nothing to confirm
_UNCONFIRMED = """
select e.act, e.at, r.name, r.host from erasures e cross join relays r
where not exists (select from erased_spools s where s.act = e.act and s.relay = r.name)
  and (r.gone_at is null or r.spooled <> 0)
order by e.at, e.act, r.name
"""
_CONFIRM = f"""
insert into erased_spools (act, relay, at) select act, %s, {NOW} from unnest(%s::text[]) act
on conflict (act, relay) do nothing
"""


class PostgresErasure:
    """See `erasure_contract.ErasureStore` for what each verb promises."""

    def __init__(self, look: Connection, acts: Acts, *, connect: Callable[..., Connection], relay: str) -> None:
        self._look = look
        self._acts = acts
        self._connect = connect
        self._relay = relay

    async def bury(self, tombstones: Sequence[Tombstone], act: AuditEntry) -> None:
        async def bury(transaction: Transaction) -> None:
            for each in tombstones:
                about = {"entity": clean(each.ref.entity), "id": clean(each.ref.id), "source": clean(each.source)}
                await transaction.rows(_BURY, (*about.values(), to_ms(each.at), each.act))
                await transaction.rows(_ERASE_RECORDS, {**about, "at": to_ms(each.at)})
            await transaction.rows(_OPEN, (act.id, to_ms(act.at)))
            await transaction.rows(_AGAIN, (act.id,))
            await audit.add(transaction, act, 0)

        await self._acts.commit(bury)

    async def tombstones(self) -> Sequence[Tombstone]:
        return [tombstone_of(row) for row in await self._rows(TOMBSTONES)]

    async def history(self, after: int, *, most: int) -> Sequence[StoredWebhook]:
        seqs: list[int] = []
        size = 0
        for seq, bytes_ in await self._rows(SIZES, (after, most)):
            size += int(bytes_)
            if seqs and size > MOST_BYTES:
                break
            seqs.append(seq)
        return await self.stored(seqs)

    async def stored(self, seqs: Collection[int]) -> Sequence[StoredWebhook]:
        listed = (Numbers(seqs),)
        webhooks, found = await self._look.run([(WEBHOOKS, listed), (EVENTS, listed)])
        events = {seq: [*group] for seq, group in groupby(found, key=lambda row: row[0])}
        return [webhook_of(row, [each[1:] for each in events.get(row[0], ())]) for row in webhooks]

    async def erase(self, webhooks: Sequence[ErasedWebhook], act: AuditEntry) -> int:
        dead = 0
        for start in range(0, len(webhooks), CHUNK):
            dead += await self._acts.commit(partial(_erase, webhooks=webhooks[start : start + CHUNK], act=act))
            await asyncio.sleep(PAUSE)
        return dead

    async def scrub(self, found: Callable[[str], bool], events: Collection[int]) -> Mapping[str, int]:
        blanked: Counter[str] = Counter()
        for column in TEXTS:
            blanked[column.table] += await self._scrub(column, found)
        blanked["attempts"] += await self._scrub_attempts(found, events)
        return +blanked

    async def conclude(self, act: AuditEntry, count: int) -> None:
        async def replace(transaction: Transaction) -> None:
            await transaction.rows("delete from audit where id = %s", (act.id,))
            await audit.record(transaction, act, count)

        await self._acts.commit(replace)

    async def open_erasures(self) -> Sequence[OpenErasure]:
        found = await self._rows(_UNCONFIRMED)
        return [
            OpenErasure(
                act=act, at=from_ms(at), waits_for=tuple(f"the spool of {row[2][:8]} on {row[3]}" for row in rows)
            )
            for (act, at), rows in groupby(found, key=lambda row: (row[0], row[1]))
        ]

    async def out_of_reach(self) -> Sequence[str]:
        return (
            "dead rows on the server until it has vacuumed, and its write-ahead log",
            "standbys and archives of that log until they have caught up",
            "copies by pg_dump and pg_basebackup, archives on other machines, and snapshots of disks",
        )

    async def rewrite(self) -> None:
        connection = self._connect(name="rewrite")
        try:
            for table in REWRITTEN:
                await connection.outside(f"vacuum full {table}", deadline=REWRITE_WITHIN, lock_within=LOCK_WITHIN)
        finally:
            await connection.close()
        await self._acts.commit(_note_rewritten)

    # ---- for the relay before whose spool this store is

    async def unconfirmed(self) -> Sequence[str]:
        """See `contract.SharedStore.unconfirmed_erasures`."""
        return [act for act, _at, relay, _host in await self._rows(_UNCONFIRMED) if relay == self._relay]

    async def confirm(self, acts: Sequence[str]) -> None:
        """See `contract.SharedStore.confirm_erasures`."""
        await self._acts.commit(partial(_confirm, relay=self._relay, acts=acts))

    # ---- texts

    async def _scrub(self, column: TextColumn, found: Callable[[str], bool]) -> int:
        blanked = 0
        after: Row | None = None
        key = _key(column)
        while page := await self._rows(*_texts(column, after)):
            if changed := changes(column, page, found):
                await self._acts.commit(partial(_change, column=column, changed=changed))
                blanked += len(changed)
                await asyncio.sleep(PAUSE)
            after = page[-1][: len(key)]
        return blanked

    async def _scrub_attempts(self, found: Callable[[str], bool], events: Collection[int]) -> int:
        requests = {(target, at) for target, at in await self._rows(REQUESTS, (Numbers(events),))}
        blanked = 0
        after: Row = (0, "", 0)
        while page := await self._rows(ATTEMPTS, (*after, PAGE)):
            those = [row[:3] for row in page if (row[1], row[3]) in requests or found(row[4])]
            if those:
                await self._acts.commit(partial(_blank_attempts, keys=those))
                blanked += len(those)
                await asyncio.sleep(PAUSE)
            after = page[-1][:3]
        return blanked

    async def _rows(self, sql: str, values: Any = ()) -> list[Row]:
        [found] = await self._look.run([(sql, values)])
        return found


async def _erase(transaction: Transaction, webhooks: Sequence[ErasedWebhook], act: AuditEntry) -> int:
    """Erase them all; return how many deliveries are dead now."""
    events = [event for each in webhooks for event in each.events]
    whole = Numbers(each.seq for each in events if each.how is Extent.WHOLE)
    now = to_ms(act.at)
    await transaction.rows(_KEYS, {"events": whole})
    await transaction.rows(_LOCK, (Numbers(each.seq for each in webhooks),))
    await transaction.rows(ERASE_WEBHOOKS, _webhook_columns(webhooks))
    await transaction.rows(_DISMISSED, (Numbers(each.seq for each in webhooks),))
    if events:
        beside = [erased_row(each) for each in events]
        await transaction.rows(ERASE_EVENTS, _event_columns(events, now))
        await transaction.rows(
            ERASE_ENRICHMENTS,
            (
                Blobs(row[0] for row in beside),
                Texts(row[1] for row in beside),
                Blobs(row[2] for row in beside),
                Numbers(row[3] for row in beside),
            ),
        )
        await transaction.rows(ERASE_ATTEMPTS, (Numbers(each.seq for each in events),))
    await transaction.rows(DISMISS, {"events": whole, "now": now})
    dead = await transaction.rows(KILL, {"events": whole, "now": now, "why": ERASED})
    if dead:
        killed = {
            "events": Numbers(event for event, _target in dead),
            "targets": Texts(target for _event, target in dead),
        }
        await transaction.rows(UNBLOCK, {**killed, "now": now})
    await audit.add(transaction, act, len(events))
    return len(dead)


def _webhook_columns(webhooks: Sequence[ErasedWebhook]) -> Sequence[object]:
    return (
        Numbers(each.seq for each in webhooks),
        Blobs(each.body for each in webhooks),
        Blobs(checksum(each.body) for each in webhooks),
        Texts(clean(each.query) for each in webhooks),
        Texts(clean_or_none(each.unparsed) for each in webhooks),
    )


def _event_columns(events: Sequence[ErasedEvent], now: int) -> Sequence[object]:
    return (
        Numbers(each.seq for each in events),
        Blobs(each.payload for each in events),
        Blobs(checksum(each.payload, each.id.encode()) for each in events),
        Numbers(now if each.how is Extent.WHOLE else None for each in events),
    )


async def _note_rewritten(transaction: Transaction) -> None:
    await transaction.rows(f"update erasures set rewritten_at = {NOW} where rewritten_at is null")


async def _confirm(transaction: Transaction, relay: str, acts: Sequence[str]) -> None:
    await transaction.rows(_CONFIRM, (relay, Texts(acts)))


def _key(column: TextColumn) -> tuple[str, ...]:
    """Where relays share a store they have such rows each."""
    return ("relay", *column.key) if column.table in ("conditions", "reports") else column.key


def _texts(column: TextColumn, after: Row | None) -> tuple[str, Sequence[Any]]:
    key = _key(column)
    keys = ", ".join(key)
    later = f"({keys}) > ({', '.join(['%s'] * len(key))}) and" if after else ""
    sql = f"select {keys}, {column.name} from {column.table} where {later} {column.name} <> '' order by {keys} limit %s"
    return sql, (*(after or ()), PAGE)


async def _change(transaction: Transaction, column: TextColumn, changed: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    which = " and ".join(f"{name} = %s" for name in _key(column))
    for text, key in changed:
        await transaction.rows(f"update {column.table} set {column.name} = %s where {which}", (clean(text), *key))


async def _blank_attempts(transaction: Transaction, keys: Sequence[Row]) -> None:
    events, targets, numbers = (
        Numbers(key[0] for key in keys),
        Texts(key[1] for key in keys),
        Numbers(key[2] for key in keys),
    )
    await transaction.rows(_BLANK, (events, targets, numbers))
