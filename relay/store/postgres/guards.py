"""The guard's records, failed answers and spans -> rows of PostgreSQL; `guard_contract` has the promises."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from relay.model.heal import HORIZON
from relay.model.subscription import GuardRecord, SwitchedOff
from relay.store import guard_rows
from relay.store.postgres import audit
from relay.store.postgres.acts import Acts, columns
from relay.store.postgres.connection import Connection, Statement, Transaction
from relay.store.postgres.text import clean
from relay.store.records import AuditEntry
from relay.store.times import to_ms

RECORDS = f"select {guard_rows.COLUMNS} from guards order by source"
_RECORD = """
insert into guards (source, state, since, checked_at, detail, seen_on_at, disabled_at, spent_at, recreating)
values (%(source)s, %(state)s, %(since)s, %(checked_at)s, %(detail)s, %(seen_on_at)s, %(disabled_at)s, %(spent_at)s,
  %(recreating)s)
on conflict (source) do update set state = excluded.state, since = excluded.since, checked_at = excluded.checked_at,
  detail = excluded.detail, seen_on_at = excluded.seen_on_at, disabled_at = excluded.disabled_at,
  spent_at = excluded.spent_at, recreating = excluded.recreating
"""
_SPAN = """
insert into switched_off (source, since, until, ours) values (%(source)s, %(since)s, %(until)s, %(ours)s)
on conflict (source, since) do update set until = excluded.until
"""
_SPANS = """
select since, until, ours from switched_off where source = %s and (until is null or until > %s) order by since
"""
_SWITCH = """
insert into guards (source, off) values (%s, %s)
on conflict (source) do update set off = excluded.off, state = null, since = null, checked_at = null, detail = ''
"""
_RESUME = """
insert into guards (source, resumed_at) values (%s, %s)
on conflict (source) do update set resumed_at = excluded.resumed_at
"""
_FAILED_ANSWERS = """
insert into refusals as r (source, relay, minute, number)
select %s, %s, c.minute, c.number from unnest(%s::bigint[], %s::int[]) as c(minute, number)
on conflict (source, minute, relay) do update set number = greatest(r.number, excluded.number)
"""


class Guards:
    """A `GuardStore` by the connections of a store; `relay`: whose failed answers these are."""

    def __init__(self, look: Connection, work: Connection, acts: Acts, *, relay: str) -> None:
        self._look = look
        self._work = work
        self._acts = acts
        self._relay = relay

    async def records(self) -> Mapping[str, GuardRecord]:
        """See `guard_contract.GuardStore.records`."""
        [found] = await self._look.run([(RECORDS, ())])
        return guard_rows.read(found)

    async def record(self, record: GuardRecord, *, switched_off: SwitchedOff | None = None) -> None:
        """See `guard_contract.GuardStore.record`."""
        statements: list[Statement] = [(_RECORD, {**guard_rows.write(record), "detail": clean(record.detail)})]
        if switched_off:
            statements.append((_SPAN, guard_rows.span(record.source, switched_off)))
        await self._work.run(statements)

    async def switch(self, source: str, *, off: bool, act: AuditEntry) -> None:
        """See `guard_contract.GuardStore.switch`."""
        await self._act((_SWITCH, (source, off)), act)

    async def resume(self, source: str, act: AuditEntry) -> None:
        """See `guard_contract.GuardStore.resume`."""
        await self._act((_RESUME, (source, to_ms(act.at))), act)

    async def _act(self, statement: Statement, act: AuditEntry) -> None:
        async def write(transaction: Transaction) -> None:
            await transaction.rows(*statement)
            await audit.record(transaction, act, 1)

        await self._acts.commit(write)

    async def record_failed_answers(self, source: str, counts: Mapping[datetime, int]) -> None:
        """See `guard_contract.GuardStore.record_failed_answers`."""
        oldest = to_ms(max(counts) - HORIZON)
        await self._work.run(
            [
                (_FAILED_ANSWERS, (source, self._relay, *columns(guard_rows.minutes(counts), 2))),
                ("delete from refusals where source = %s and minute < %s", (source, oldest)),
            ]
        )

    async def failed_answers(self, source: str, *, since: datetime, until: datetime) -> int:
        """See `guard_contract.GuardStore.failed_answers`."""
        sql = (
            "select coalesce(sum(number), 0)::bigint from refusals where source = %s and minute >= %s and minute <= %s"
        )
        [[(number,)]] = await self._look.run([(sql, (source, to_ms(since), to_ms(until)))])
        return int(number)

    async def switched_off(self, source: str, *, since: datetime) -> Sequence[SwitchedOff]:
        """See `guard_contract.GuardStore.switched_off`."""
        [found] = await self._look.run([(_SPANS, (source, to_ms(since)))])
        return guard_rows.spans(found)
