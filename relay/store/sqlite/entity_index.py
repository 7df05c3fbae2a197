"""An entity id -> its events: those that are indexed, and those of the tail that no index covers yet.

An index that each insert maintains costs a random page for each event. This one is written by the owner, `BATCH` events
in a transaction, in the order of the index, together with the seq up to which it is complete. It is cut into segments
of 2^14 seqs, so that a batch changes few pages however long the history is; a look-up seeks once in each segment. The
tail is read by rowid: less than `BATCH` events, and those that arrived since the last look.
"""

import asyncio
from contextlib import suppress

import apsw

from relay.errors import StoreBusy
from relay.store.sqlite.sql import Run, rows

BATCH = 512  # events: 1 ms of the writer's time, less than the commit of 32 webhooks
EVERY = 1.0  # seconds between two looks at the tail
PAUSE = 0.01  # seconds between transactions, in which others write


def _segment(seq: str) -> str:
    return f"{seq} >> 14"


def _key(id_: str) -> str:
    """SQL: a decimal id as an integer, of another text the start: it may be long, and look-ups compare the whole."""
    decimal = f"{id_} glob '[1-9]*' and {id_} not glob '*[^0-9]*' and length({id_}) < 19"
    # coalesce: a corrupt row must not stop the index (test_entity_index: ..._that_is_null_stops_no_index)
    return f"iif({decimal}, cast({id_} as integer), coalesce(substr({id_}, 1, 40), ''))"


_UP_TO = "coalesce((select up_to from entity_indexed), 0)"
_NEWEST = "coalesce((select seq from sqlite_sequence where name = 'events'), 0)"


# ---- look-up


def _indexed(since: str) -> str:
    segments = (
        f"select min(segment) from entity_index where segment >= {_segment(since)} union all"
        " select (select min(segment) from entity_index where segment > n) from segments where n is not null"
    )
    return (
        f"with recursive segments (n) as ({segments})"
        f" select event from segments cross join entity_index on segment = n and entity = {_key(':entity_id')}"
    )


def _about(since: str) -> str:
    return (
        f"e.entity_id = :entity_id and e.seq > {since} and e.seq in ({_indexed(since)}"
        f" union all select seq from events where seq > max({since}, {_UP_TO}) and entity_id = :entity_id)"
    )


ABOUT = _about("0")
"""SQL for a row `e` of events: it is about `:entity_id`. The one look-up by entity."""

ABOUT_SINCE = _about(":since")
"""SQL: as `ABOUT`, and stored after the event `:since`."""

COUNT = f"select count(*) from ({_indexed('0')} limit :most)"
"""SQL: the events of `:entity_id` that are indexed, at most `:most`; of another kind of entity with that id, too."""


# ---- upkeep


async def keep_indexed(read: Run, write: Run) -> None:
    """Index the tail for ever, whenever it is a batch long; the caller cancels it.

    A full disk refuses `write`: the tail grows until there is room.
    """
    while True:
        with suppress(StoreBusy):
            while await read(_has_batch):
                await write(index_batch)
                await asyncio.sleep(PAUSE)
        await asyncio.sleep(EVERY)


def _has_batch(cursor: apsw.Cursor) -> bool:
    [(length,)] = rows(cursor, f"select {_NEWEST} - {_UP_TO}")
    return bool(length >= BATCH)


def index_batch(cursor: apsw.Cursor) -> None:
    """Index the oldest `BATCH` events of the tail, or all there are."""
    [(after, last)] = rows(cursor, _BOUNDS, (BATCH - 1,))
    cursor.execute(_INDEX, (after, last))
    cursor.execute("delete from entity_indexed")  # no update: if the row is lost, the index must go on all the same
    cursor.execute("insert into entity_indexed values (?)", (last,))


def remove(cursor: apsw.Cursor, webhook: int) -> None:
    """Remove the index rows of a webhook's events, before those are deleted."""
    cursor.execute(_REMOVE, (webhook,))


def unindexed(cursor: apsw.Cursor) -> int:
    """Count the events that should be in the index and are not; 0 for a store of an earlier version."""
    if not rows(cursor, "select 1 from sqlite_schema where name = 'entity_index'"):
        return 0
    [(number,)] = rows(cursor, _MISSING)
    return int(number)


_BOUNDS = (
    f"select {_UP_TO}, coalesce((select seq from events where seq > {_UP_TO} order by seq limit 1 offset ?), {_NEWEST})"
)
_ROW = f"{_segment('e.seq')}, {_key('e.entity_id')}, e.seq"
_INDEX = (
    f"insert into entity_index (segment, entity, event) select {_ROW} from events e where e.seq > ? and e.seq <= ?"
    " order by 1, 2, 3 on conflict do nothing"
)
_REMOVE = (
    "delete from entity_index where (segment, entity, event) in"
    f" (select {_ROW} from events e where e.webhook = ? and e.seq <= {_UP_TO})"
)
_MISSING = (
    f"select count(*) from events e where e.seq <= {_UP_TO} and not exists"
    f" (select 1 from entity_index where (segment, entity, event) = ({_ROW}))"
)
