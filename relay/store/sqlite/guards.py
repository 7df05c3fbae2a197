"""The guard's records, failed answers and spans -> rows of a SQLite store; `guard_contract` has the promises."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw

from relay.model.heal import HORIZON
from relay.model.subscription import GuardRecord, SwitchedOff
from relay.store import guard_rows
from relay.store.records import AuditEntry
from relay.store.sqlite import audit
from relay.store.sqlite.sql import Run, rows
from relay.store.times import to_ms

_RECORD = """
insert into guards (source, state, since, checked_at, detail, seen_on_at, disabled_at, spent_at, recreating)
values (:source, :state, :since, :checked_at, :detail, :seen_on_at, :disabled_at, :spent_at, :recreating)
on conflict (source) do update set state = excluded.state, since = excluded.since, checked_at = excluded.checked_at,
  detail = excluded.detail, seen_on_at = excluded.seen_on_at, disabled_at = excluded.disabled_at,
  spent_at = excluded.spent_at, recreating = excluded.recreating
"""
_SPAN = """
insert into switched_off (source, since, until, ours) values (:source, :since, :until, :ours)
on conflict (source, since) do update set until = excluded.until
"""
_SPANS = """
select since, until, ours from switched_off where source = ? and (until is null or until > ?) order by since
"""
_SWITCH = """
insert into guards (source, off) values (?, ?)
on conflict (source) do update set off = excluded.off, state = null, since = null, checked_at = null, detail = ''
"""
_RESUME = """
insert into guards (source, resumed_at) values (?, ?)
on conflict (source) do update set resumed_at = excluded.resumed_at
"""


def records(cursor: apsw.Cursor) -> dict[str, GuardRecord]:
    """See `guard_contract.GuardStore.records`."""
    return guard_rows.read(rows(cursor, f"select {guard_rows.COLUMNS} from guards order by source"))


class Guards:
    """A `GuardStore` by the connections of a store."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    async def records(self) -> Mapping[str, GuardRecord]:
        """See `guard_contract.GuardStore.records`."""
        return await self._read(records)

    async def record(self, record: GuardRecord, *, switched_off: SwitchedOff | None = None) -> None:
        """See `guard_contract.GuardStore.record`."""

        def write(cursor: apsw.Cursor) -> None:
            rows(cursor, _RECORD, guard_rows.write(record))
            if switched_off:
                rows(cursor, _SPAN, guard_rows.span(record.source, switched_off))

        await self._write(write)

    async def switch(self, source: str, *, off: bool, act: AuditEntry) -> None:
        """See `guard_contract.GuardStore.switch`."""
        await self._act(_SWITCH, source, int(off), act)

    async def resume(self, source: str, act: AuditEntry) -> None:
        """See `guard_contract.GuardStore.resume`."""
        await self._act(_RESUME, source, to_ms(act.at), act)

    async def _act(self, sql: str, source: str, value: int, act: AuditEntry) -> None:
        def write(cursor: apsw.Cursor) -> None:
            rows(cursor, sql, (source, value))
            audit.record(cursor, act, 1)

        await self._write(write)

    async def record_failed_answers(self, source: str, counts: Mapping[datetime, int]) -> None:
        """See `guard_contract.GuardStore.record_failed_answers`."""
        sql = (
            "insert into refusals (source, minute, number) values (?, ?, ?)"
            " on conflict (source, minute) do update set number = max(number, excluded.number)"
        )

        def write(cursor: apsw.Cursor) -> None:
            for minute, number in guard_rows.minutes(counts):
                rows(cursor, sql, (source, minute, number))
            rows(cursor, "delete from refusals where source = ? and minute < ?", (source, oldest))

        oldest = to_ms(max(counts) - HORIZON)
        await self._write(write)

    async def failed_answers(self, source: str, *, since: datetime, until: datetime) -> int:
        """See `guard_contract.GuardStore.failed_answers`."""
        sql = "select coalesce(sum(number), 0) from refusals where source = ? and minute >= ? and minute <= ?"
        values = source, to_ms(since), to_ms(until)
        [(number,)] = await self._read(lambda cursor: rows(cursor, sql, values))
        return int(number)

    async def switched_off(self, source: str, *, since: datetime) -> Sequence[SwitchedOff]:
        """See `guard_contract.GuardStore.switched_off`."""
        return guard_rows.spans(await self._read(lambda cursor: rows(cursor, _SPANS, (source, to_ms(since)))))
