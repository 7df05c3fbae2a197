"""The `ErasureStore` of the SQLite store: found on the reading connection, erased in transactions of a few ms."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
import orjson

from relay.model.erasure import ERASED, Extent, Tombstone
from relay.store.checksum import checksum
from relay.store.enrich_rows import erased_row
from relay.store.erasure_records import ErasedEvent, ErasedWebhook, OpenErasure, StoredWebhook
from relay.store.erasure_rows import tombstone_of, webhook_of
from relay.store.erasure_texts import TEXTS, TextColumn, changes
from relay.store.heal_rows import ERASE_RECORDS
from relay.store.records import AuditEntry
from relay.store.sqlite import audit
from relay.store.sqlite.ordering import unblock
from relay.store.sqlite.sql import Row, Run, rows
from relay.store.times import from_ms, to_ms

MOST_BYTES = 4 * 1024 * 1024  # of one page
LOCKED = 0.005  # seconds after which a transaction begins no further webhook
PAUSE = 0.02  # seconds between transactions, in which others write
PAGE = 1_000  # texts

_SIZES = (
    "select seq, length(body) + coalesce((select sum(length(payload)) from events where webhook = webhooks.seq), 0)"
    " from webhooks where seq > ? order by seq limit ?"
)
_WEBHOOKS = (
    "select seq, id, source, received_at, content_type, body, query, unparsed from webhooks"
    " where seq in (select value from json_each(?)) order by seq"
)
_EVENTS = (
    "select e.webhook, e.seq, e.id, e.payload, e.kind = 'unparsed', e.erased_at is not null, n.value"
    " from events e left join enrichments n on n.event = e.seq"
    " where e.webhook in (select value from json_each(?)) order by e.webhook, e.seq"
)
_BURY = (
    "insert into tombstones (entity, entity_id, source, at, act) values (?, ?, ?, ?, ?)"
    " on conflict (entity, entity_id, source) do update set at = max(at, excluded.at), act = excluded.act"
)
_OPEN = "insert into erasures (act, at) values (?, ?) on conflict (act) do update set rewritten_at = null"
_ERASE_WEBHOOK = "update webhooks set body = ?, checksum = ?, query = ?, unparsed = ? where seq = ?"
_ERASE_EVENT = "update events set payload = ?, checksum = ?, erased_at = ? where seq = ?"
_ERASE_PAYLOAD = "update events set payload = ?, checksum = ? where seq = ?"
_ERASE_ENRICHMENT = "update enrichments set value = ?, reason = ?, checksum = ? where event = ? and value is not null"
_ERASE_ATTEMPTS = "update attempts set detail = '' where event = ? and detail <> ''"
_PENDING = "select target, key is not null from deliveries where event = ? and state = 'pending'"
_KILL = (
    "update deliveries set state = 'dead', claimed = 0, due_at = null, held = null, settled_at = :now, why = :why,"
    " dismissed_at = :now where event = :event and target = :target"
)
_DISMISS = "update deliveries set dismissed_at = ? where event = ? and state = 'dead' and dismissed_at is null"
# what is listed there is unparsed
_DISMISSED = (
    "delete from dismissed where webhook = :seq"
    " and not exists (select 1 from webhooks where seq = :seq and unparsed is not null)"
)
_ATTEMPTS = (
    "select event, target, number, started_at, detail from attempts"
    " where (event, target, number) > (?, ?, ?) and detail <> '' order by event, target, number limit ?"
)
_REQUESTS = "select distinct target, started_at from attempts where event in (select value from json_each(?))"


class SqliteErasure:
    """See `erasure_contract.ErasureStore` for what each verb promises. `rewrite`: the owner's, else it does nothing."""

    def __init__(self, path: Path, read: Run, write: Run, rewrite: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._read = read
        self._write = write
        self._rewrite = rewrite

    async def bury(self, tombstones: Sequence[Tombstone], act: AuditEntry) -> None:
        await self._write(partial(_bury, tombstones=tombstones, act=act))

    async def tombstones(self) -> Sequence[Tombstone]:
        return await self._read(tombstones)

    async def history(self, after: int, *, most: int) -> Sequence[StoredWebhook]:
        return await self._read(partial(_history, after=after, most=most))

    async def stored(self, seqs: Collection[int]) -> Sequence[StoredWebhook]:
        return await self._read(partial(_stored, seqs=seqs))

    async def erase(self, webhooks: Sequence[ErasedWebhook], act: AuditEntry) -> int:
        dead = 0
        while webhooks:
            seen, killed = await self._write(partial(_erase_some, webhooks=webhooks, act=act))
            webhooks = webhooks[seen:]
            dead += killed
            await asyncio.sleep(PAUSE)
        return dead

    async def scrub(self, found: Callable[[str], bool], events: Collection[int]) -> Mapping[str, int]:
        blanked: Counter[str] = Counter()
        for column in TEXTS:
            blanked[column.table] += await self._scrub(column, found)
        blanked["attempts"] += await self._scrub_attempts(found, events)
        return +blanked

    async def conclude(self, act: AuditEntry, count: int) -> None:
        await self._write(lambda cursor: audit.record(cursor, act, count))

    async def open_erasures(self) -> Sequence[OpenErasure]:
        return await self._read(open_erasures)

    async def rewrite(self) -> None:
        await self._rewrite()

    async def out_of_reach(self) -> Sequence[str]:
        beside = sorted(each.name for mark in ("before-", "damaged-") for each in self._beside(f".{mark}*"))
        return (*beside, "copies by relay backup, archives on other machines, and snapshots of disks")

    def _beside(self, pattern: str) -> Iterable[Path]:
        return self._path.parent.glob(f"{self._path.name}{pattern}")

    async def _scrub(self, column: TextColumn, found: Callable[[str], bool]) -> int:
        blanked = 0
        after: Row | None = None
        while page := await self._read(partial(_texts, column=column, after=after)):
            if changed := changes(column, page, found):
                await self._write(partial(_change, column=column, changed=changed))
                blanked += len(changed)
                await asyncio.sleep(PAUSE)
            after = page[-1][:-1]
        return blanked

    async def _scrub_attempts(self, found: Callable[[str], bool], events: Collection[int]) -> int:
        requests = {(target, at) for target, at in await self._read(partial(rows, sql=_REQUESTS, values=_json(events)))}
        blanked = 0
        after: Row = (0, "", 0)
        while page := await self._read(partial(rows, sql=_ATTEMPTS, values=(*after, PAGE))):
            those = [tuple(row[:3]) for row in page if (row[1], row[3]) in requests or found(row[4])]
            if those:
                await self._write(partial(_blank_attempts, keys=those))
                blanked += len(those)
                await asyncio.sleep(PAUSE)
            after = page[-1][:3]
        return blanked


def tombstones(cursor: apsw.Cursor) -> list[Tombstone]:
    """Return all of them; mostly there are none."""
    found = rows(cursor, "select entity, entity_id, source, at, act from tombstones order by at, entity, entity_id")
    return [tombstone_of(row) for row in found]


def open_erasures(cursor: apsw.Cursor) -> list[OpenErasure]:
    """Return those after which the file was not rewritten yet."""
    found = rows(cursor, "select act, at from erasures where rewritten_at is null order by at, act")
    return [OpenErasure(act=act, at=from_ms(at), waits_for=("the rewriting of the file",)) for act, at in found]


def close_erasures(cursor: apsw.Cursor, acts: Collection[str], now: int) -> None:
    """Note that the file holds nothing of what these have erased."""
    sql = "update erasures set rewritten_at = ? where act in (select value from json_each(?))"
    cursor.execute(sql, (now, *_json(acts)))


def _bury(cursor: apsw.Cursor, tombstones: Sequence[Tombstone], act: AuditEntry) -> None:
    for each in tombstones:
        cursor.execute(_BURY, (*each.ref, each.source, to_ms(each.at), each.act))
        cursor.execute(ERASE_RECORDS, {**each.ref._asdict(), "source": each.source, "at": to_ms(each.at)})
    cursor.execute(_OPEN, (act.id, to_ms(act.at)))
    audit.record(cursor, act, audit.counted(cursor, act))


def _history(cursor: apsw.Cursor, after: int, most: int) -> list[StoredWebhook]:
    seqs: list[int] = []
    size = 0
    for seq, bytes_ in rows(cursor, _SIZES, (after, most)):
        size += bytes_ or 0
        if seqs and size > MOST_BYTES:
            break
        seqs.append(seq)
    return _stored(cursor, seqs)


def _stored(cursor: apsw.Cursor, seqs: Collection[int]) -> list[StoredWebhook]:
    listed = _json(seqs)
    events = {seq: [*group] for seq, group in groupby(rows(cursor, _EVENTS, listed), key=lambda row: row[0])}
    return [webhook_of(row, [each[1:] for each in events.get(row[0], ())]) for row in rows(cursor, _WEBHOOKS, listed)]


def _erase_some(cursor: apsw.Cursor, webhooks: Sequence[ErasedWebhook], act: AuditEntry) -> tuple[int, int]:
    """Erase until it takes too long; return how many webhooks were, and how many deliveries are dead now."""
    until = perf_counter() + LOCKED
    now, dead, events = to_ms(act.at), 0, 0
    seen = 0
    for each in webhooks:
        seen += 1
        cursor.execute(_ERASE_WEBHOOK, (each.body, checksum(each.body), each.query, each.unparsed, each.seq))
        cursor.execute(_DISMISSED, {"seq": each.seq})
        dead += sum(_erase_event(cursor, event, now) for event in each.events)
        events += len(each.events)
        if perf_counter() > until:
            break
    audit.add(cursor, act, events)
    return seen, dead


def _erase_event(cursor: apsw.Cursor, event: ErasedEvent, now: int) -> int:
    kept = event.payload, checksum(event.payload, event.id.encode())
    cursor.execute(_ERASE_ATTEMPTS, (event.seq,))
    cursor.execute(_ERASE_ENRICHMENT, erased_row(event))
    if event.how is not Extent.WHOLE:
        cursor.execute(_ERASE_PAYLOAD, (*kept, event.seq))
        return 0
    cursor.execute(_ERASE_EVENT, (*kept, now, event.seq))
    cursor.execute(_DISMISS, (now, event.seq))
    pending = rows(cursor, _PENDING, (event.seq,))
    for target, has_key in pending:
        cursor.execute(_KILL, {"now": now, "why": ERASED, "event": event.seq, "target": target})
        if has_key:
            unblock(cursor, event.seq, target, now)
    return len(pending)


def _texts(cursor: apsw.Cursor, column: TextColumn, after: Row | None) -> list[Row]:
    key = ", ".join(column.key)
    later = f"({key}) > ({', '.join('?' * len(column.key))}) and" if after else ""
    sql = f"select {key}, {column.name} from {column.table} where {later} {column.name} <> '' order by {key} limit ?"
    return rows(cursor, sql, (*(after or ()), PAGE))


def _change(cursor: apsw.Cursor, column: TextColumn, changed: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    which = " and ".join(f"{name} = ?" for name in column.key)
    sql = f"update {column.table} set {column.name} = ? where {which}"
    cursor.executemany(sql, [(text, *key) for text, key in changed])


def _blank_attempts(cursor: apsw.Cursor, keys: Sequence[tuple[Any, ...]]) -> None:
    cursor.executemany("update attempts set detail = '' where event = ? and target = ? and number = ?", keys)


def _json(values: Collection[object]) -> tuple[str]:
    return (orjson.dumps([*values]).decode(),)
