"""Whose data is to be erased -> every copy of that person's data erased, and a receipt without it.

    plan ─▶ bury ─▶ scrub ─▶ erase ─▶ what came meanwhile ─▶ receipt ─▶ rewrite

Records with a phone or a name are erased last: the texts in which these occur are found by them. So a run that was
killed can be repeated, and finds what is left.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from relay.amocrm.traces import Finder, Trace
from relay.model import Json
from relay.model.erasure import Extent, Tombstone
from relay.store.contract import OperationsStore
from relay.store.erasure_plan import Planned, Scope, kinds_in, plan
from relay.store.erasure_records import StoredWebhook
from relay.store.records import AuditEntry

PAGE = 200  # webhooks looked at in one read
CHUNK = 50  # erased between two looks

LOOK_EVERY = 0.5  # seconds, whether others have done their part
UNDER_WAY = 1_000  # webhooks before the newest one that may have been committed after it

EVERYWHERE = (
    "targets that received the events",
    "the account in amoCRM",
    "log lines and traces that were written",
)
"""Where copies may be, whatever the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What else has the same phone, mail or name. `entity/id`, or the id of an event or webhook, is for `--also`."""

    also: str
    type: str
    events: int
    same: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was erased, or on a dry run would be. `events` by type; `dead`: pending deliveries that are not made.

    `shared`: webhooks that keep the part of others; `emptied`: those that could not be cut, and lost all. `texts`:
    blanked, by table. `waits_for`: what has not confirmed yet; `out_of_reach`: where copies may be that no relay knows.
    `traces` are data of the person, for a search in more places; drop them after it.
    """

    act: str
    events: Counter[str] = field(default_factory=Counter)
    webhooks: int = 0
    shared: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    dead: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    others: tuple[Other, ...] = ()
    waits_for: tuple[str, ...] = ()
    out_of_reach: tuple[str, ...] = ()
    traces: frozenset[Trace] = frozenset()


@dataclass(slots=True)
class _Found:
    """What a look through the history has found. `last`: the newest webhook that was looked at."""

    seqs: list[int] = field(default_factory=list)
    identifying: set[int] = field(default_factory=set)  # those with a phone, a mail or a name
    whole: set[int] = field(default_factory=set)  # events
    traces: set[Trace] = field(default_factory=set)
    types: Counter[str] = field(default_factory=Counter)
    shared: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    last: int = 0

    def add(self, webhook: StoredWebhook, planned: Planned) -> None:
        self.seqs.append(webhook.seq)
        if planned.traces:
            self.identifying.add(webhook.seq)
        self.whole |= {each.seq for each in planned.erased.events if each.how is Extent.WHOLE}
        self.traces |= planned.traces
        self.types += planned.types
        if planned.kept:
            self.shared.append(webhook.id)
        if planned.emptied:
            self.emptied.append(webhook.id)


async def forget(store: OperationsStore, scope: Scope, act: AuditEntry, *, dry_run: bool = False) -> Erasure:
    """Erase what is stored of the person; the receipt is the audit entry. A dry run changes nothing.

    Repeated after a kill, with any act, it goes on with what is left.
    """
    found = await _look(store, scope, after=0)
    finder = Finder(found.traces)
    others = await _others(store, scope, finder) if found.traces else ()
    out_of_reach = (*await store.erasure.out_of_reach(), *EVERYWHERE)
    if dry_run:
        return replace(_erasure(act, found), others=others, out_of_reach=out_of_reach)
    await store.erasure.bury([Tombstone(ref, scope.source, act.at, act.id) for ref in sorted(scope.refs)], act)
    texts = await store.erasure.scrub(lambda text: bool(finder.kinds(text)), found.whole)
    # what tells a name last: a repeated run looks for it, too
    dead = await _erase(store, scope, sorted(found.seqs, key=lambda seq: (seq in found.identifying, seq)), act)
    if dead:  # what was in flight may have told something since
        await store.erasure.scrub(lambda text: bool(finder.kinds(text)), found.whole)
    late = await _look(store, scope, after=found.last - UNDER_WAY, until=act.at)
    dead += await _erase(store, scope, late.seqs, act)
    done = replace(
        _erasure(act, found, late), dead=dead, texts=Counter(texts), others=others, out_of_reach=out_of_reach
    )
    await store.erasure.conclude(_receipt(act, done), sum(done.events.values()))
    return done


async def complete(store: OperationsStore, act: str, *, within: float = 0.0, rewrite: bool = True) -> Sequence[str]:
    """Return what the erasure waits for after so many seconds; `rewrite`: have the store rewritten, if this may."""
    if rewrite:
        await store.erasure.rewrite()
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while await _waits_for(store, act):  # noqa: ASYNC110  other processes do their part
                await asyncio.sleep(LOOK_EVERY)
    return await _waits_for(store, act)


async def _waits_for(store: OperationsStore, act: str) -> Sequence[str]:
    return next((each.waits_for for each in await store.erasure.open_erasures() if each.act == act), ())


async def _look(store: OperationsStore, scope: Scope, *, after: int, until: datetime | None = None) -> _Found:
    found = _Found(last=after)
    async for webhook in _history(store, after):
        in_time = until is None or webhook.received_at <= until
        if in_time and (planned := plan(webhook, scope)):
            found.add(webhook, planned)
        found.last = webhook.seq
    return found


async def _others(store: OperationsStore, scope: Scope, finder: Finder) -> tuple[Other, ...]:
    counts: Counter[tuple[str, str, str]] = Counter()
    kinds: dict[tuple[str, str, str], set[str]] = {}
    async for webhook in _history(store, 0):
        for key, same in kinds_in(webhook, scope, finder).items():
            counts[key] += 1
            kinds.setdefault(key, set()).update(same)
    return tuple(
        Other(also=f"{entity}/{id_}" if entity else id_, type=type_, events=number, same=tuple(sorted(kinds[key])))
        for key, number in sorted(counts.items())
        for entity, id_, type_ in [key]
    )


async def _history(store: OperationsStore, after: int) -> AsyncIterator[StoredWebhook]:
    while page := await store.erasure.history(after, most=PAGE):
        for webhook in page:
            yield webhook
        after = page[-1].seq


async def _erase(store: OperationsStore, scope: Scope, seqs: Sequence[int], act: AuditEntry) -> int:
    dead = 0
    for start in range(0, len(seqs), CHUNK):
        stored = {each.seq: each for each in await store.erasure.stored(seqs[start : start + CHUNK])}
        ordered = [stored[seq] for seq in seqs[start : start + CHUNK] if seq in stored]
        dead += await store.erasure.erase([each.erased for webhook in ordered if (each := plan(webhook, scope))], act)
    return dead


def _erasure(act: AuditEntry, *found: _Found) -> Erasure:
    return Erasure(
        act=act.id,
        events=sum((each.types for each in found), Counter()),
        traces=frozenset(trace for each in found for trace in each.traces),
        webhooks=sum(len(each.seqs) for each in found),
        shared=tuple(id_ for each in found for id_ in each.shared),
        emptied=tuple(id_ for each in found for id_ in each.emptied),
    )


def _receipt(act: AuditEntry, done: Erasure) -> AuditEntry:
    """The audit entry with what was done, of which nothing is data of the person."""
    told: dict[str, Json] = {
        **act.details,
        "events": dict(done.events),
        "webhooks": done.webhooks,
        "shared": len(done.shared),
        "dead": done.dead,
        "texts": dict(done.texts),
        "out_of_reach": list(done.out_of_reach),
    }
    return replace(act, details=told)
