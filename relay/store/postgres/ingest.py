"""Insert webhooks, their events and deliveries: a batch by one statement, in one transaction that is sent whole.

If any webhook of the batch is stored already, or repeats an equal one, that statement inserts nothing. An interactive
transaction then inserts the batch in its order: webhooks of which nothing is stored together, each other one alone.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, groupby

from relay.errors import StoreBusy, StoreFailed
from relay.model import Delivery, RoutedEvent, Webhook
from relay.model.heal import Hook
from relay.signals import Committed, Emit
from relay.store.postgres import ingest_sql, late_hooks
from relay.store.postgres.arrays import Numbers, Texts
from relay.store.postgres.claims import UNBLOCK
from relay.store.postgres.connection import DEADLINE, Connection, Interactive, Row, Statement, Transaction
from relay.store.postgres.duplicates import repeated
from relay.store.postgres.failures import Refused
from relay.store.postgres.ingest_rows import Asked, asked_of, hook_values, leases, values
from relay.store.postgres.locks import TAKE, locks
from relay.store.postgres.membership import Membership
from relay.store.postgres.registry import NOBODY, Owner
from relay.store.postgres.session import lasting
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.times import to_ms

MANY = 2000  # rows of a batch, beyond which it has more time
ROWS_A_SECOND = 1000  # of a slow server
REPARSED = "reparsed"  # why raw deliveries are dead whose webhook was read after all


class Ingest:
    """Keeps webhooks on the intake connection; without a `membership` (a command) nothing is claimed at insert."""

    def __init__(self, connection: Connection, membership: Membership | None, *, emit: Emit) -> None:
        self._connection = connection
        self._membership = membership
        self._emit = emit

    async def keep_all(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        """Keep many in one transaction, as if one by one; raises if the database refuses one of them."""
        began = time.monotonic()
        results = await self._keep_all(requests)
        self._committed(len(requests), began)
        return results

    def _committed(self, writes: int, began: float) -> None:
        self._emit(Committed(writes=writes, took=timedelta(seconds=time.monotonic() - began)))

    async def _keep_all(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        if (member := self._membership) and member.registry.tokens is None:
            raise StoreBusy("this relay is not registered")
        with self._asked(requests) as (asked, owner):
            if not _repeats(asked):
                *_, rows = await self._run(statements(asked, owner), _deadline(asked))
                if rows:
                    return self._held([*_results(asked, rows)], owner)
            results = await self._transact(lambda transaction: _keep_each(transaction, asked, owner), _deadline(asked))
            return self._held(results, owner)

    def _held(self, results: list[KeepResult], owner: Owner) -> list[KeepResult]:
        """Leave out what was claimed if another incarnation has begun meanwhile: it is anybody's."""
        if (member := self._membership) is None or member.holds(owner):
            return results
        return [[] if isinstance(result, list) else result for result in results]

    async def _run(self, statements: Sequence[Statement], deadline: float | None) -> list[list[Row]]:
        lasts = [lasting(deadline)] if deadline else []
        with _alone():
            return await self._connection.run([*lasts, *statements], deadline=deadline)

    async def _transact(self, keep: Interactive[list[KeepResult]], deadline: float | None) -> list[KeepResult]:
        async def keep_in_time(transaction: Transaction) -> list[KeepResult]:
            if deadline:
                await transaction.rows(*lasting(deadline))
            return await keep(transaction)

        with _alone():
            return await self._connection.transact(keep_in_time, deadline=deadline)

    async def forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult | Exception]:
        """See `contract.SharedStore.forward`."""
        try:
            return [*await self._forward(requests)]
        except (StoreBusy, StoreFailed):
            raise
        except Exception as error:  # noqa: BLE001  one that is refused must not hold up the others
            if len(requests) == 1:
                return [error]
        return [reply for each in requests for reply in await self.forward([each])]

    async def missing(self, ids: Sequence[str]) -> set[str]:
        """See `contract.SharedStore.missing`."""
        [rows] = await self._connection.run([(ingest_sql.KNOWN, {"id": Texts(ids)})])
        return set(ids).difference(id_ for id_, *_ in rows)

    async def probe(self) -> None:
        """See `contract.MaintenanceStore.probe`."""
        if member := self._membership:
            began = time.monotonic()
            await self._connection.run([(ingest_sql.PROBE, {"name": member.registry.name})])
            self._committed(1, began)

    async def _forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        with self._asked(requests) as (asked, owner):

            async def keep(transaction: Transaction) -> list[KeepResult]:
                results = await _keep_each(transaction, asked, owner)
                if member := self._membership:
                    forwarded = {"webhooks": len(requests), "name": member.registry.name}
                    await transaction.rows(ingest_sql.FORWARDED, forwarded)
                return results

            return self._held(await self._transact(keep, _deadline(asked)), owner)

    @contextmanager
    def _asked(self, requests: Sequence[KeepRequest]) -> Iterator[tuple[list[Asked], Owner]]:
        """Make the rows, with claim tokens that are lost if their transaction is not known to be committed."""
        member, size = self._membership, leases(requests)
        if member is None or member.registry.tokens is None or not size:
            yield [asked_of(each, None) for each in requests], NOBODY
            return
        with member.lost.tokens(member.registry.tokens, size) as first:
            tokens = count(first)
            yield [asked_of(each, tokens) for each in requests], member.registry.owner or NOBODY


async def reparse(
    transaction: Transaction, webhook: Webhook, routed: Sequence[RoutedEvent], at: datetime, hooks: Sequence[Hook]
) -> bool:
    """Give an unparsed webhook these events, due `at`; False if it is unparsed no more."""
    asked = asked_of(KeepRequest(replace(webhook, unparsed=None), routed, at, hooks=hooks), None)
    await _lock(transaction, [asked])
    seq = await _read(transaction, asked)
    if seq is not None:
        await _add_events(transaction, asked, seq, NOBODY)
    return seq is not None


async def keep_healed(transaction: Transaction, healed: Sequence[KeepRequest]) -> None:
    """Keep webhooks that never came; the caller holds what `Asked.locked` names. Nothing is claimed at insert."""
    await _keep_locked(transaction, [asked_of(each, None) for each in healed], NOBODY)


@contextmanager
def _alone() -> Iterator[None]:
    """Have what a trigger refuses be no fault of the server: it refuses that webhook alone."""
    try:
        yield
    except Refused as error:
        raise error.__cause__ or error from None


def size(request: KeepRequest) -> int:
    """Return about how many bytes a request sends."""
    return 1000 + len(request.webhook.body) + sum(len(each.payload) + 500 for each in request.routed)


def _deadline(asked: Sequence[Asked]) -> float | None:
    """Return the seconds for a transaction of many rows; refused as busy each time, it would hold up all behind it."""
    rows = sum(len(each.events) + len(each.deliveries) for each in asked)
    return DEADLINE + rows / ROWS_A_SECOND if rows > MANY else None


# ---- together


def _repeats(asked: Sequence[Asked]) -> set[int]:
    """Return the positions of those that have the id of one before them, or repeat it within a window."""
    seen: set[object] = set()
    again: set[int] = set()
    for position, each in enumerate(asked):
        webhook, digest = each.request.webhook, each.likeness.digest
        same = {webhook.id} if digest is None else {webhook.id, (webhook.source, digest)}
        if not same.isdisjoint(seen):
            again.add(position)
        seen |= same
    return again


def statements(asked: Sequence[Asked], owner: Owner) -> list[Statement]:
    """Return the statements that keep all of them, or nothing; the last one returns no row then."""
    return [*_locks(asked), _keep(asked, owner)]


def _locks(asked: Iterable[Asked], others: Iterable[bytes] = ()) -> list[Statement]:
    taken = locks([*others, *(key for each in asked for key in each.locked())])
    return [(TAKE, (Numbers(taken),))] if taken else []


def _keep(asked: Sequence[Asked], owner: Owner, **changed: Numbers) -> Statement:
    ordered = any(each.ordered for each in asked)
    given = {**values(asked), **owner._asdict(), **changed}
    if any(each.hooked for each in asked):
        return ingest_sql.KEEP_WITH_HOOKS[ordered], {**given, **hook_values(asked)}
    return ingest_sql.KEEP[ordered], given


def _results(asked: Sequence[Asked], rows: Sequence[Row]) -> list[list[Delivery]]:
    events: dict[int, int] = dict(rows)
    return [
        [claim.delivery(events[token], token) for token, claim in each.claims.items() if token in events]
        for each in asked
    ]


# ---- in order


async def _keep_each(transaction: Transaction, asked: Sequence[Asked], owner: Owner) -> list[KeepResult]:
    await _lock(transaction, asked)
    return await _keep_locked(transaction, asked, owner)


async def _keep_locked(transaction: Transaction, asked: Sequence[Asked], owner: Owner) -> list[KeepResult]:
    of_batch = values(asked)
    unparsed = {id_: unparsed for id_, _seq, unparsed in await transaction.rows(ingest_sql.KNOWN, of_batch)}
    again = _repeats(asked) | {number - 1 for (number,) in await transaction.rows(ingest_sql.REPEATING, of_batch)}

    def alone(of: tuple[int, Asked]) -> bool:
        position, each = of
        return position in again or each.request.webhook.id in unparsed

    results: list[KeepResult] = []
    for one_by_one, group in groupby(enumerate(asked), key=alone):
        each_of = [each for _position, each in group]
        if not one_by_one and (rows := await transaction.rows(*_keep(each_of, owner))):
            results += _results(each_of, rows)
            continue
        for each in each_of:
            stored = unparsed.get(each.request.webhook.id, True)
            results.append(await _keep_alone(transaction, each, owner) if stored else [])
    return results


async def _lock(transaction: Transaction, asked: Sequence[Asked]) -> None:
    """Take all locks at once: a second set could deadlock with a transaction that waits for the first."""
    ids = Texts(each.request.webhook.id for each in asked)
    raw = [key for (key,) in await transaction.rows(ingest_sql.RAW_KEYS, {"id": ids})]
    for statement in _locks(asked, raw):
        await transaction.rows(*statement)


async def _keep_alone(transaction: Transaction, asked: Asked, owner: Owner) -> KeepResult:
    if earlier := await repeated(transaction, asked):
        return earlier
    if rows := await transaction.rows(*_keep([asked], owner, span=Numbers([None]))):
        [result] = _results([asked], rows)
        return result
    if asked.hooked and not await transaction.rows(ingest_sql.KNOWN, {"id": Texts([asked.request.webhook.id])}):
        return await _keep_late(transaction, asked, owner)
    if asked.request.webhook.unparsed is not None or (seq := await _read(transaction, asked)) is None:
        return []
    return await _add_events(transaction, asked, seq, owner)


async def _keep_late(transaction: Transaction, asked: Asked, owner: Owner) -> KeepResult:
    """Keep a webhook of which something was healed before it came."""
    in_time = await late_hooks.index(transaction, asked)
    bare = replace(in_time, request=in_time.request._replace(hooks=()))  # they are in the index
    [result] = _results([bare], await transaction.rows(*_keep([bare], owner, span=Numbers([None]))))
    return result


async def _read(transaction: Transaction, asked: Asked) -> int | None:
    """Mark an unparsed webhook as parsed, return its seq: its raw deliveries are dead with the reason `reparsed`."""
    webhook, now = asked.request.webhook, asked.request.now
    marked = await transaction.rows(ingest_sql.READ, {"id": webhook.id})
    if not marked:
        return None
    [(seq,)] = marked
    raw = {"webhook": seq, "why": REPARSED, "now": to_ms(now or webhook.received_at)}
    await transaction.rows(ingest_sql.UNDISMISS, raw)
    await transaction.rows(ingest_sql.REPLACE_DEAD, raw)
    if pending := await transaction.rows(ingest_sql.REPLACE_PENDING, raw):
        events, targets = zip(*pending, strict=True)
        await transaction.rows(UNBLOCK, raw | {"events": Numbers(events), "targets": Texts(targets)})
    return int(seq)


async def _add_events(transaction: Transaction, asked: Asked, webhook: int, owner: Owner) -> list[Delivery]:
    if asked.hooked:
        asked = await late_hooks.index(transaction, asked)
    added = {**values([asked]), "webhook": webhook, **owner._asdict()}
    [result] = _results([asked], await transaction.rows(ingest_sql.ADD_EVENTS, added))
    return result
