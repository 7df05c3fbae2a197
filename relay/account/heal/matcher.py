"""Records of the feed and the index of hooks -> which of them a webhook reported, and what that shows of the account.

It shows how far times in bodies are from the feed's, and whether a trigger of the digital pipeline posts at once: one
with a delay posts after its event would have been healed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.account.heal import drift
from relay.account.heal.channels import UPDATES, parse
from relay.account.heal.drift import Differences
from relay.account.heal.limits import WIDEST
from relay.account.heal.scanner import begun_at
from relay.account.heal.settle import Settled, settle
from relay.account.heal.verdicts import TRIGGER_DELAYED
from relay.account.heal.wanted import Wanted
from relay.account.server_clock import ServerTime
from relay.model.heal import HealRecord, HealState, Hook, StoredHook
from relay.store.contract import HealStore

PROMPT, DELAYED = "prompt ", "delayed "
"""In front of a trigger's channel: marks of the last event that it reported in time, and of the last one too late."""
_OFTEN = timedelta(hours=1)  # between two marks of one channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """`settled`: what was reported, what was lost; `differences`: of times in bodies, seconds; `marks`: to be stored.

    `repeats`: hooks that report nothing more. `drift`: what matching allows for, if that is more than it was.
    """

    settled: Settled
    repeats: Sequence[StoredHook] = ()
    differences: Sequence[float] = ()
    drift: timedelta | None = None
    marks: Mapping[str, datetime]


class Matcher:
    """Matches records of one account's sources with the hooks in the store."""

    def __init__(self, store: HealStore) -> None:
        self._store = store
        self._differences: defaultdict[str, Differences] = defaultdict(Differences)

    async def match(
        self, wanted: Wanted, records: Sequence[HealRecord], server: ServerTime, *, others: Iterable[HealRecord] = ()
    ) -> Matched:
        """Match records; nothing is stored of it. `others`: those that are not old enough."""
        if not records:
            return Matched(settled=Settled([], []), marks={})
        first, last = min(each.at for each in records), max(each.at for each in records)
        keys = {(each.channel, each.key) for each in records}
        reach = 4 * max(wanted.limits.account.reach, wanted.limits.trigger.reach)
        matched = await self._store.heal_records(wanted.source, since=first - reach, states=[HealState.MATCHED])
        until = server.at if any(channel == UPDATES for channel, _ in keys) else last
        hooks = await self._store.hooks(wanted.source, since=first - reach, until=until + reach, keys=keys)
        repeats = await self._repeats(hooks)
        again = {*repeats}
        hooks = [each for each in hooks if each not in again]
        matched = [each for each in matched if (each.channel, each.key) in keys]
        marks = await self._store.heal_marks(wanted.source)
        dated = [each for each in hooks if _has_event(each.hook, marks)]
        # in a thread: thousands would hold up webhooks in the event loop
        seen = await asyncio.to_thread(drift.differences, records, [*matched, *others], dated)
        known = self._differences[wanted.source]
        wider = known.within if known.see(seen) else None
        settled = await asyncio.to_thread(settle, records, matched, hooks, drift=known.within)
        new = _prompt(settled.matched, marks)
        return Matched(settled=settled, repeats=repeats, differences=seen, drift=wider, marks=new)

    async def refuted(self, source: str, marks: Mapping[str, datetime], *, since: datetime) -> frozenset[str]:
        """Return the triggers that seemed to have a delay since then, and have none: the hook's event came later.

        The feed may have an event a day late. Until then its hook looks like a late one of the event before it.
        """
        found = set()
        for name, late in marks.items():
            if name.startswith(DELAYED) and late >= since:
                channel = name.removeprefix(DELAYED)
                hooks = await self._store.hooks(source, since=late, until=late)
                shown = [each for each in hooks if each.hook.channel == channel and each.hook.arrived == late]
                if shown and all(each.matched for each in shown):
                    found.add(channel)
        return frozenset(found)

    async def given_up(
        self, source: str, triggers: Collection[str], *, since: datetime, but: Iterable[HealRecord]
    ) -> list[HealRecord]:
        """Return what was not healed because these triggers seemed to have a delay; not what is among `but`."""
        if not triggers:
            return []
        known = {(each.channel, each.event_id) for each in but}
        return [
            each
            for each in await self._store.heal_records(source, since=since, states=[HealState.UNHEALABLE])
            if each.reason == TRIGGER_DELAYED and each.channel in triggers and each.after is not None
            if (each.channel, each.event_id) not in known
        ]

    async def _repeats(self, hooks: Sequence[StoredHook]) -> list[StoredHook]:
        """The hooks of webhooks that amoCRM sent again, as their header says: both report one change.

        Without it the second one may be taken for that of a second change, which was lost.
        """
        of_key: defaultdict[tuple[str, str], list[StoredHook]] = defaultdict(list)
        for each in hooks:
            of_key[each.hook.channel, each.hook.key].append(each)
        several = [found for (channel, _), found in of_key.items() if len(found) > 1 and channel != UPDATES]
        if not several:
            return []
        requests = await self._store.request_ids({each.webhook for found in several for each in found})
        found_again: list[StoredHook] = []
        for found in several:
            taken: dict[str, str] = {}
            for each in sorted(found, key=lambda hook: (hook.matched is None, hook.hook.arrived or hook.hook.since)):
                request = requests.get(each.webhook, "")
                if request and taken.setdefault(request, each.webhook) != each.webhook:
                    found_again.append(each)
        return found_again


def _has_event(hook: Hook, marks: Mapping[str, datetime]) -> bool:
    """Whether the event of a webhook is recorded, however its times differ: that of before healing began is not."""
    begun = begun_at(marks, hook.key.partition(":")[0])
    return hook.at is not None and begun is not None and hook.at >= begun + WIDEST


def _prompt(matched: Iterable[HealRecord], marks: Mapping[str, datetime]) -> dict[str, datetime]:
    """Marks of the triggers that reported these in time; not of each event, for a mark is a write."""
    found: dict[str, datetime] = {}
    for each in matched:
        name = PROMPT + each.channel
        if parse(each.channel) and each.webhook and each.at > marks.get(name, each.at - 2 * _OFTEN) + _OFTEN:
            found[name] = max(each.at, found.get(name, each.at))
    return found


def delayed(hooks: Iterable[StoredHook], records: Iterable[HealRecord]) -> dict[str, datetime]:
    """Marks of the triggers whose hooks are too late for the event of their key: no event is near, one was before."""
    at: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for record in records:
        at[record.channel, record.key].append(record.at)
    found: dict[str, datetime] = {}
    for each in hooks:
        hook = each.hook
        if parse(hook.channel) is None or hook.arrived is None or each.matched is not None:
            continue
        times = at[hook.channel, hook.key]
        if any(time < hook.since for time in times) and not any(hook.since <= time <= hook.until for time in times):
            found[DELAYED + hook.channel] = max(hook.arrived, found.get(DELAYED + hook.channel, hook.arrived))
    return found


def is_known_prompt(channel: str, marks: Mapping[str, datetime]) -> bool:
    """Whether a trigger was seen to post in time; what is no trigger's does."""
    return parse(channel) is None or PROMPT + channel in marks


def is_delayed(channel: str, marks: Mapping[str, datetime]) -> bool:
    """Whether the last that was seen of a trigger came too late."""
    late = marks.get(DELAYED + channel)
    return late is not None and marks.get(PROMPT + channel, late) <= late
