"""Dead deliveries that are counted and alarmed about -> by target how many, and when and why they died."""

import apsw

from relay.store.records import Deaths
from relay.store.sqlite.sql import Row
from relay.store.times import from_ms

COUNTED = "state = 'dead' and why <> 'reparsed' and dismissed_at is null"
"""Not what is dead as reparsed: it has events in its place, and no replay would end an alert about it."""

_OF_DEAD = f"from deliveries where target = dead.target and {COUNTED} order by settled_at"
DEATHS = (
    f"select target, n, (select settled_at {_OF_DEAD} limit 1), (select settled_at {_OF_DEAD} desc limit 1),"
    f" (select why {_OF_DEAD} desc limit 1)"
    f" from (select target, count(*) as n from deliveries where {COUNTED} group by target) as dead"
)


def deaths(cursor: apsw.Cursor) -> dict[str, tuple[int, Deaths | None]]:
    """Counted in a partial index, which holds what is dead; None where a corrupt row does not say when it died."""
    return {target: (number, _deaths(*when)) for target, number, *when in cursor.execute(DEATHS)}


def _deaths(*row: Row) -> Deaths | None:
    first, last, why = row
    if not (isinstance(first, int) and isinstance(last, int) and isinstance(why, str)):
        return None
    return Deaths(first_at=from_ms(first), last_at=from_ms(last), why=why)
