"""Delete webhooks past their retention: found on the reading connection, deleted in transactions of a few ms.

Freed pages stay in the file and are reused; nothing here shrinks it, which would lock writers out.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from time import perf_counter

import apsw

from relay.model import Retention
from relay.store.archive import MEMBER, ArchiveFolder
from relay.store.records import AuditEntry, WebhookRecord
from relay.store.sqlite import audit, entity_index, reading
from relay.store.sqlite.sql import Run, rows
from relay.store.times import to_ms

PAGE = 500  # webhooks looked at in one read, for others read there too
LOCKED = 0.005  # seconds after which a transaction begins no further deletion
PAUSE = 0.02  # seconds between transactions, in which others write

_NOTHING = -1  # ms: nothing is as old as that

Place = tuple[int, int]
"""A webhook's arrival and seq."""

START: Place = (_NOTHING, 0)

Over = tuple[int, str]
"""A webhook's seq, and the age it is counted under."""

_MAY_GO = """
  w.received_at <= :newest and (w.unparsed is null or w.received_at <= :unparsed) and not exists (
    select 1 from events e left join deliveries d on d.event = e.seq
    where e.webhook = w.seq and case d.state
      when 'pending' then true
      when 'delivered' then d.settled_at > :delivered
      when 'dead' then d.settled_at > :dead
      else w.received_at > :unrouted
    end
  )
"""
_COUNTED = """
  case when w.unparsed is not null then 'unparsed' else coalesce(
    (select min(d.state) from events e join deliveries d on d.event = e.seq where e.webhook = w.seq), 'unrouted'
  ) end
"""  # dead comes before delivered


async def purge(
    read: Run,
    write: Run,
    retention: Retention,
    now: datetime,
    act: AuditEntry | None,
    dry_run: bool,
    archive: ArchiveFolder | None = None,
) -> dict[str, int]:
    """See `contract.MaintenanceStore.purge`."""
    before = ages(retention, now)
    counts: Counter[str] = Counter()
    after: Place | None = START
    while after:
        after, page = await read(partial(look, before=before, after=after, limit=PAGE))
        if dry_run:
            counts += Counter(age for _seq, age in page)
            continue
        if archive:
            await archived(read, page, archive)
        counts += await delete(write, page, before, act)
    return dict(counts)


def ages(retention: Retention, now: datetime) -> dict[str, int]:
    """Return, by age, the time up to which what ended may go. `newest`: nothing that arrived later is so old."""
    kept = {each.name: getattr(retention, each.name) for each in fields(retention)}
    before = {name: _NOTHING if age is None else to_ms(now - age) for name, age in kept.items()}
    return {**before, "newest": max(before.values())}


def look(cursor: apsw.Cursor, before: dict[str, int], after: Place, limit: int) -> tuple[Place | None, list[Over]]:
    """Read so many webhooks: the place of the last one, None at the end; and those that may be deleted."""
    looked = (
        "select received_at, seq, unparsed from webhooks where (received_at, seq) > (:at, :seq)"
        " and received_at <= :newest order by received_at, seq limit :limit"
    )
    found = rows(
        cursor,
        f"select received_at, seq, case when {_MAY_GO} then {_COUNTED} end from ({looked}) w",
        {**before, "at": after[0], "seq": after[1], "limit": limit},
    )
    last = found[-1][:2] if found else None
    return last, [(seq, age) for _at, seq, age in found if age is not None]


async def archived(read: Run, page: Sequence[Over], archive: ArchiveFolder) -> None:
    """Write a page to the archive, a few webhooks at a time; ArchiveFailed if that cannot be done."""
    while page:
        seen, records = await read(partial(_records, page=page))
        if records:
            await archive.add(records)
        page = page[seen:]


def _records(cursor: apsw.Cursor, page: Sequence[Over]) -> tuple[int, list[WebhookRecord]]:
    """Read webhooks until their bodies fill a member; return how many of the page were looked at, and what they are."""
    records: list[WebhookRecord] = []
    size = seen = 0
    for seq, _age in page:
        if record := reading.by_seq(cursor, seq):
            records.append(record)
            size += len(record.webhook.body)
        seen += 1
        if size >= MEMBER:
            break
    return seen, records


async def delete(write: Run, page: Sequence[Over], before: dict[str, int], act: AuditEntry | None) -> Counter[str]:
    """Delete a page in short transactions with pauses between them; count what was deleted."""
    gone: Counter[str] = Counter()
    while page:
        seen, some = await write(partial(_delete_some, page=page, before=before, act=act))
        page = page[seen:]
        gone += some
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    return gone


def _delete_some(
    cursor: apsw.Cursor, page: Sequence[Over], before: dict[str, int], act: AuditEntry | None
) -> tuple[int, Counter[str]]:
    """Delete until it takes too long; return how many of the page were looked at, and what was deleted."""
    until = perf_counter() + LOCKED
    gone: Counter[str] = Counter()
    seen = 0
    for seq, age in page:
        gone[age] += _delete_webhook(cursor, seq, before)
        seen += 1
        if perf_counter() > until:
            break
    if act and gone.total():
        audit.add(cursor, act, gone.total())
    return seen, gone


def _delete_webhook(cursor: apsw.Cursor, webhook: int, before: dict[str, int]) -> bool:
    """Return False if it may not be deleted any more: it was replayed, or parsed, since it was found."""
    if not rows(cursor, f"select 1 from webhooks w where w.seq = :seq and {_MAY_GO}", {**before, "seq": webhook}):
        return False
    entity_index.remove(cursor, webhook)
    for table in ("attempts", "deliveries", "enrichments"):
        cursor.execute(f"delete from {table} where event in (select seq from events where webhook = ?)", (webhook,))
    cursor.execute("delete from events where webhook = ?", (webhook,))
    cursor.execute("delete from dismissed where webhook = ?", (webhook,))
    cursor.execute("delete from webhooks where seq = ?", (webhook,))
    return True
