"""Dead deliveries and unparsed webhooks -> dismissed ones; what is pending for a target -> dead and dismissed.

Found without a lock, changed in short transactions, as `replay` does it.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from relay.store.postgres import audit
from relay.store.postgres.acts import Acts, columns
from relay.store.postgres.arrays import Numbers, Texts
from relay.store.postgres.claims import UNBLOCK
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.filters import filter_sql
from relay.store.postgres.locks import TAKE, locks
from relay.store.postgres.text import clean
from relay.store.records import DROPPED, AuditEntry, Filter
from relay.store.times import to_ms

CHUNK = 100  # deliveries, or webhooks, a transaction: some ms
PAUSE = 0.02  # seconds between transactions, in which others write

_UNDISMISSED = "d.state = 'dead' and d.why <> 'reparsed' and d.dismissed_at is null"
PAGE = f"""
select d.target, d.event from deliveries d, lateral (select * from events where seq = d.event limit 1) e
where {_UNDISMISSED} and (d.target, d.event) > (%(name)s, %(seq)s) and {{where}}
order by d.target, d.event limit %(limit)s
"""  # lateral, with a limit: a join may be planned as a read of all events
DISMISS = f"""
with page as materialized (
  select d.event, d.target from unnest(%s::text[], %s::bigint[]) page (target, event)
  join deliveries d on d.event = page.event and d.target = page.target
  where {_UNDISMISSED} order by d.event, d.target for update of d)
update deliveries d set dismissed_at = %s from page where d.event = page.event and d.target = page.target returning 1
"""
DISMISS_UNPARSED = """
with unread as materialized (
  select seq from webhooks where id = any(%s::text[]) and unparsed is not null order by seq for share)
insert into dismissed (webhook, at) select seq, %s from unread on conflict do nothing returning 1
"""  # for share: nobody reads it meanwhile
PENDING = """
select event, key from deliveries where state = 'pending' and claim is null and target = %(target)s
  and event <= %(last)s
union all
select event, key from deliveries where state = 'pending' and claim is not null and target = %(target)s
  and event <= %(last)s
limit %(limit)s
"""  # two partial indexes
DROP = """
with page as materialized (
  select d.event, d.key from unnest(%(events)s::bigint[]) page (event)
  join deliveries d on d.event = page.event and d.target = %(target)s
  where d.state = 'pending' order by d.event for update of d)
update deliveries d set state = 'dead', claim = null, due_at = null, held = null, settled_at = %(at)s,
  dismissed_at = %(at)s, why = %(why)s
from page where d.event = page.event and d.target = %(target)s returning d.event, d.key is not null
"""


async def dismiss(look: Connection, acts: Acts, wanted: Filter, act: AuditEntry) -> int:
    """See `contract.OperationsStore.dismiss`."""
    where, values = filter_sql(wanted)
    dismissed, name, seq = 0, "", -1
    while True:
        place = {"name": name, "seq": seq, "limit": CHUNK}
        [page] = await look.run([(PAGE.format(where=where), {**values, **place})])
        if not page:
            return dismissed
        targets, events = columns(page, 2)
        dismissed += await acts.commit(partial(_change, sql=DISMISS, values=(targets, events, to_ms(act.at)), act=act))
        name, seq = page[-1]
        await asyncio.sleep(PAUSE)  # a cancelled call stops here


async def dismiss_unparsed(acts: Acts, ids: Sequence[str], act: AuditEntry) -> int:
    """See `contract.OperationsStore.dismiss_unparsed`."""
    dismissed = 0
    for start in range(0, len(ids), CHUNK):
        values = ([clean(each) for each in ids[start : start + CHUNK]], to_ms(act.at))
        dismissed += await acts.commit(partial(_change, sql=DISMISS_UNPARSED, values=values, act=act))
        await asyncio.sleep(PAUSE if start + CHUNK < len(ids) else 0)
    return dismissed


async def _change(transaction: Transaction, sql: str, values: Sequence[object], act: AuditEntry) -> int:
    if changed := len(await transaction.rows(sql, values)):
        await audit.add(transaction, act, changed)
    return changed


async def drop(look: Connection, acts: Acts, target: str, act: AuditEntry) -> int:
    """See `contract.OperationsStore.drop`. What is kept meanwhile is left alone: the call ends."""
    asked = {"target": clean(target), "last": await _last(look), "limit": CHUNK}
    dropped = 0
    while True:
        [page] = await look.run([(PENDING, asked)])
        if not page:
            return dropped
        dropped += await acts.commit(partial(_drop, target=clean(target), page=page, act=act))
        await asyncio.sleep(PAUSE)  # a cancelled call stops here


async def _last(look: Connection) -> int:
    [[(last,)]] = await look.run([("select coalesce(max(seq), 0) from events", ())])
    return int(last)


async def _drop(
    transaction: Transaction, target: str, page: Sequence[tuple[int, bytes | None]], act: AuditEntry
) -> int:
    if taken := locks(key for _event, key in page if key is not None):
        await transaction.rows(TAKE, (taken,))
    at = to_ms(act.at)
    values = {"events": [event for event, _key in page], "target": target, "at": at, "why": DROPPED}
    dropped = await transaction.rows(DROP, values)
    if ordered := Numbers(event for event, has_key in dropped if has_key):
        rows = {"events": ordered, "targets": Texts(target for _ in ordered)}
        await transaction.rows(UNBLOCK, {**rows, "now": at})
    if dropped:
        await audit.add(transaction, act, len(dropped))
    return len(dropped)
