"""Delete webhooks past their retention: found without a lock, deleted in transactions of some ms."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial

from relay.errors import StoreBusy
from relay.model import Retention
from relay.store.archive import MEMBER, ArchiveFolder
from relay.store.postgres import audit, reading
from relay.store.postgres.acts import Acts
from relay.store.postgres.connection import Connection, Transaction
from relay.store.records import AuditEntry
from relay.store.times import to_ms

PAGE = 500  # webhooks looked at in one read
CHUNK = 200  # webhooks a transaction
PAUSE = 0.02  # seconds between transactions, in which others write

_NOTHING = -1  # ms: nothing is as old as that

_MAY_GO = """
  w.received_at <= %(newest)s and (w.unparsed is null or w.received_at <= %(unparsed)s) and not exists (
    select 1 from events e left join deliveries d on d.event = e.seq
    where e.webhook = w.seq and case d.state
      when 'pending' then true
      when 'delivered' then d.settled_at > %(delivered)s
      when 'dead' then d.settled_at > %(dead)s
      else w.received_at > %(unrouted)s
    end
  )
"""
_COUNTED = """
  case when w.unparsed is not null then 'unparsed' else coalesce(
    (select min(d.state) from events e join deliveries d on d.event = e.seq where e.webhook = w.seq), 'unrouted'
  ) end
"""  # dead comes before delivered
# a constant limit: for one that is given the planner expects a tenth of all, and sorts all of them for each page
LOOK = f"""
select w.received_at, w.seq, case when {_MAY_GO} then {_COUNTED} end from (
  select received_at, seq, unparsed from webhooks
  where (received_at, seq) > (%(at)s, %(seq)s) and received_at <= %(newest)s
  order by received_at, seq limit {{limit}}
) w order by w.received_at, w.seq
"""
SIZES = "select seq, octet_length(body) from webhooks where seq = any(%s::bigint[]) order by seq"
LOCK = "select seq from webhooks where seq = any(%s::bigint[]) order by seq for update skip locked"
MAY_STILL_GO = f"""
select w.seq, array(select e.seq from events e where e.webhook = w.seq) from webhooks w
where w.seq = any(%(seqs)s::bigint[]) and {_MAY_GO}
"""
DELETE = ("attempts where event", "deliveries where event", "enrichments where event", "events where seq")

Place = tuple[int, int]
"""A webhook's arrival and seq."""

Over = tuple[int, str]
"""A webhook's seq, and the age it is counted under."""


async def purge(
    look: Connection,
    acts: Acts,
    retention: Retention,
    now: datetime,
    act: AuditEntry | None,
    dry_run: bool,
    archive: ArchiveFolder | None = None,
) -> dict[str, int]:
    """See `contract.MaintenanceStore.purge`. What another transaction works on is left for the next time."""
    before = ages(retention, now)
    counts: Counter[str] = Counter()
    after: Place | None = (_NOTHING, 0)
    while after:
        after, page = await _look(look, before, after)
        if dry_run:
            counts += Counter(age for _seq, age in page)
            continue
        if archive:
            await _archived(look, [seq for seq, _age in page], archive)
        counts += await _delete(acts, page, before, act)
    return dict(counts)


def ages(retention: Retention, now: datetime) -> dict[str, int]:
    """Return, by age, the time up to which what ended may go. `newest`: nothing that arrived later is so old."""
    kept = {each.name: getattr(retention, each.name) for each in fields(retention)}
    before = {name: _NOTHING if age is None else to_ms(now - age) for name, age in kept.items()}
    return {**before, "newest": max(before.values())}


async def _look(look: Connection, before: dict[str, int], after: Place) -> tuple[Place | None, list[Over]]:
    """Read a page: the place of its last webhook, None at the end; and those that may be deleted."""
    [found] = await look.run([(LOOK.format(limit=PAGE), {**before, "at": after[0], "seq": after[1]})])
    last = found[-1][:2] if found else None
    return last, [(seq, age) for _at, seq, age in found if age is not None]


async def _archived(look: Connection, seqs: Sequence[int], archive: ArchiveFolder) -> None:
    """Write webhooks to the archive, as many at a time as make a member; ArchiveFailed if that cannot be done."""
    [sizes] = await look.run([(SIZES, (list(seqs),))])
    chunk: list[int] = []
    size = 0
    for seq, of_body in sizes:
        chunk.append(seq)
        size += of_body
        if size >= MEMBER:
            await archive.add(await reading.by_seq(look, chunk))
            chunk, size = [], 0
    if chunk:
        await archive.add(await reading.by_seq(look, chunk))


async def _delete(acts: Acts, page: Sequence[Over], before: dict[str, int], act: AuditEntry | None) -> Counter[str]:
    """Delete a page in short transactions with pauses between them; count what was deleted."""
    gone: Counter[str] = Counter()
    for start in range(0, len(page), CHUNK):
        chunk = dict(page[start : start + CHUNK])
        deleted = await _delete_chunk(acts, [*chunk], before, act)
        gone += Counter(chunk[seq] for seq in deleted)
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    return gone


async def _delete_chunk(acts: Acts, seqs: Sequence[int], before: dict[str, int], act: AuditEntry | None) -> list[int]:
    """Delete them in one transaction, or half by half: of webhooks with thousands of events few fit into its time."""
    try:
        return await acts.commit(partial(_delete_some, seqs=seqs, before=before, act=act))
    except StoreBusy as error:
        if len(seqs) == 1 or error.__cause__ is None:  # none: no time-out, and it may be committed
            raise
    half = len(seqs) // 2
    first = await _delete_chunk(acts, seqs[:half], before, act)
    return first + await _delete_chunk(acts, seqs[half:], before, act)


async def _delete_some(
    transaction: Transaction, seqs: Sequence[int], before: dict[str, int], act: AuditEntry | None
) -> list[int]:
    """Return those that are deleted: not what was replayed, or parsed, since it was found; see `lock_webhooks`."""
    locked = [seq for (seq,) in await transaction.rows(LOCK, (list(seqs),))]
    gone = await transaction.rows(MAY_STILL_GO, {**before, "seqs": locked}) if locked else []
    if not gone:
        return []
    webhooks = [seq for seq, _events in gone]
    events = [event for _seq, of_webhook in gone for event in of_webhook]
    for rows in DELETE:
        await transaction.rows(f"delete from {rows} = any(%s::bigint[])", (events,))
    await transaction.rows("delete from dismissed where webhook = any(%s::bigint[])", (webhooks,))
    await transaction.rows("delete from webhooks where seq = any(%s::bigint[])", (webhooks,))
    if act:
        await audit.add(transaction, act, len(gone))
    return webhooks
