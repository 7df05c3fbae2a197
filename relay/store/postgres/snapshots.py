"""What holds back vacuum for longest: a session, a prepared transaction -> who it is, and since when it was seen to.

What a foreign transaction may still see is not vacuumed, and claims read past it. When it began says little: a long one
that runs short statements holds back nothing. So it counts from when it was first seen with the same horizon, for which
the relay's role needs no right to see when other roles' transactions began.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.signals import Emit, VacuumHeldBack
from relay.store.postgres.connection import Connection, Row
from relay.store.records import OldSnapshot

EVERY = 10.0  # seconds

# a session that has a transaction id holds back the horizons of all others, too: it goes before them
# a standby's horizon is that of its queries (hot_standby_feedback), and its session is in no database
OLDEST = """
select who, horizon from (
  select 'pid ' || a.pid || coalesce(' (' || nullif(a.application_name, '') || ')', '') as who,
    coalesce(a.backend_xmin, a.backend_xid)::text as horizon,
    greatest(age(a.backend_xmin), age(a.backend_xid)) as behind, age(a.backend_xid) as own
  from pg_stat_activity a
  where (a.datname = current_database() or a.datid is null) and a.pid <> pg_backend_pid()
    and (a.backend_xmin is not null or a.backend_xid is not null)
    and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid)
  union all
  select 'prepared transaction ' || p.gid, p.transaction::text, age(p.transaction), age(p.transaction)
  from pg_prepared_xacts p where p.database = current_database()
) held order by behind desc, own desc nulls last limit 1
"""


class Snapshots:
    """Remembers the oldest horizon from one look to the next. `oldest` is None if there is none."""

    def __init__(self, *, clock: Callable[[], datetime], emit: Emit) -> None:
        self.oldest: OldSnapshot | None = None
        self._clock = clock
        self._emit = emit
        self._seen: Row = ()
        self._reported = False

    async def keep_looking(self, look: Connection) -> None:
        """Look every ten seconds; the caller cancels it."""
        while True:
            with suppress(StoreBusy):
                [found] = await look.run([(OLDEST, ())])
                self.take(found)
            await asyncio.sleep(EVERY)

    def take(self, found: Sequence[Row]) -> None:
        """Take over the rows of `OLDEST`, at most one; report who is old, once."""
        now = self._clock()
        [seen] = found or [()]
        if seen != self._seen:
            self._seen, self._reported = seen, False
            self.oldest = OldSnapshot(holder=seen[0], since=now) if seen else None
        if self.oldest and self.oldest.is_old(now) and not self._reported:
            self._reported = True
            self._emit(VacuumHeldBack(by=self.oldest.holder, seconds=int((now - self.oldest.since).total_seconds())))
