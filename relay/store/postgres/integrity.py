"""A store in PostgreSQL -> what in it is corrupt, or does not fit together.

Pages and indexes are PostgreSQL's own business: pg_amcheck looks at them. Here: contents against their checksums, some
hundred rows at a time; that one delivery of each ordering key is due; that owners of claims are alive; and orphaned
rows.
"""

import asyncio
from collections.abc import Sequence

from relay.store.checksum import is_corrupt
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.migrate import check_schema
from relay.store.postgres.status import LOSSES, losses
from relay.store.records import Contents, IntegrityReport
from relay.store.url import PostgresUrl

PAGE = 500  # rows read at once, for what they hold; a body may have megabytes
MOST_BYTES = 16 * 1024 * 1024  # of one page
DEADLINE = 600.0  # seconds for one look at all deliveries
MENDED_AFTER = 5.0  # seconds: a relay that lives gives back the claims of the dead at its next heartbeat

_CONTENTS = {"webhooks": ("body", "''"), "events": ("payload", "id")}
"""What the checksum of a row is of."""

_FAULTS = {
    "ordering keys with pending deliveries of which none is due: {}": """
select count(*) from (
  select 1 from deliveries where state = 'pending' and key is not null
  group by target, key having count(due_at) = 0) stranded
""",
    "ordering keys with more than one delivery that is due: {}": """
select count(*) from (
  select 1 from deliveries where state = 'pending' and key is not null
  group by target, key having count(due_at) > 1) doubled
""",
    "pending deliveries with no due time and no key that they could wait for: {}": """
select count(*) from deliveries where state = 'pending' and key is null and due_at is null
""",
    "deliveries claimed by no relay that lives: {}": """
select count(*) from deliveries d where d.state = 'pending' and d.claim is not null
and not exists (select from relays r where r.incarnation = d.claim >> 40 and r.gone_at is null)
and exists (select from relays where gone_at is null)
""",
    "deliveries that belong to no event: {}": """
select count(*) from deliveries d where not exists (select from events e where e.seq = d.event)
""",
    "events that belong to no webhook: {}": """
select count(*) from events e where not exists (select from webhooks w where w.seq = e.webhook)
""",
    "attempts that belong to no delivery: {}": """
select count(*) from attempts a
where not exists (select from deliveries d where d.event = a.event and d.target = a.target)
""",
}
"""Each with what counts it. Where no relay lives, claims wait for the next one that starts."""

_SETTINGS = "select set_config('statement_timeout', '0', true), set_config('transaction_read_only', 'on', true)"


def verify(url: PostgresUrl) -> IntegrityReport:
    """Look at the store beside the relays that use it; nothing is written.

    Raises ConfigurationError if no relay's tables are there, StoreUnsafe if they are of another version, StoreBusy if
    PostgreSQL is away.
    """
    return asyncio.run(_verify(url))


async def _verify(url: PostgresUrl) -> IntegrityReport:
    connection = Connection(url.dsn, name="verify", prepare=url.prepare, questions=True)
    try:
        await connection.transact(check_schema)
        notes = await connection.transact(_notes)
        structure = await _faults(connection)
        contents = {table: await _read(connection, table, *of) for table, of in _CONTENTS.items()}
        [missing] = await connection.run([(LOSSES, ())])
    finally:
        await connection.close()
    return IntegrityReport(structure=structure, contents=contents, losses=losses(missing), notes=notes)


async def _faults(connection: Connection) -> tuple[str, ...]:
    """Return what does not fit together, and still does not after a while: a relay may be mending it."""
    found = await connection.transact(_count_faults, deadline=DEADLINE)
    if found:
        await asyncio.sleep(MENDED_AFTER)
        found = await connection.transact(_count_faults, deadline=DEADLINE)
    return tuple(fault.format(number) for fault, number in found.items())


async def _count_faults(transaction: Transaction) -> dict[str, int]:
    await transaction.rows(_SETTINGS)
    counted = {fault: await transaction.rows(sql) for fault, sql in _FAULTS.items()}
    return {fault: number for fault, [(number,)] in counted.items() if number}


async def _notes(transaction: Transaction) -> tuple[str, ...]:
    [(checksums,)] = await transaction.rows("select current_setting('data_checksums')")
    unseen = "PostgreSQL's own pages and indexes were not looked at: pg_amcheck does that"
    off = "data_checksums is off: PostgreSQL does not notice a disk that changes its pages (pg_checksums --enable)"
    return (unseen,) if checksums == "on" else (unseen, off)


async def _read(connection: Connection, table: str, column: str, named: str) -> Contents:
    """Check every row, a page a transaction: a long one would keep what is deleted meanwhile on the disk."""
    count, last = 0, 0
    corrupt: list[str] = []
    while page := await _page(connection, table, column, named, last):
        for seq, id_, content, kept, name in page:
            count, last = count + 1, seq
            if is_corrupt(content, kept, name.encode()):
                corrupt.append(id_)
    return Contents(rows=count, unmarked=0, corrupt=tuple(corrupt))


async def _page(
    connection: Connection, table: str, column: str, named: str, last: int
) -> Sequence[tuple[int, str, bytes, bytes, str]]:
    sql = (
        f"select seq, id, {column}, checksum, {named} from ("
        f" select *, sum(octet_length({column})) over (order by seq) - octet_length({column}) as before"
        f" from (select seq, id, {column}, checksum from {table} where seq > %s order by seq limit %s) few"
        ") page where before < %s order by seq"
    )
    [found] = await connection.run([(sql, (last, PAGE, MOST_BYTES))])
    return [(seq, id_, content, kept, name) for seq, id_, content, kept, name in found]
