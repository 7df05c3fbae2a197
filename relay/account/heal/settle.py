"""Records that are old enough, and the hooks of their keys -> which of them a webhook reported, and which were lost."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from relay.account.heal.channels import UPDATES
from relay.account.heal.drift import is_dated
from relay.account.heal.keys import CAME, LEFT
from relay.account.heal.limits import DRIFT
from relay.account.heal.matching import Times, pair
from relay.model.heal import HealRecord, HealState, Hook, StoredHook

SUPERSEDED = "a later state was told"


class Settled(NamedTuple):
    """`matched`: records that match, as they are to be stored; `lost`: the others, as they were, oldest first."""

    matched: list[HealRecord]
    lost: list[HealRecord]


def settle(
    records: Iterable[HealRecord],
    matched: Iterable[HealRecord],
    hooks: Iterable[StoredHook],
    *,
    drift: timedelta = DRIFT,
) -> Settled:
    """Match records with hooks. `matched`: those of the same keys that were matched before, near them in time.

    `hooks`: all of these keys whose span has one of the records; of updates all that came later, too. `drift`: how far
    the time in a body may be from that of its event.
    """
    by_key: defaultdict[tuple[str, str], _OfKey] = defaultdict(lambda: _OfKey([], [], []))
    for record in records:
        by_key[record.channel, record.key].records.append(record)
    for before in matched:
        if found := by_key.get((before.channel, before.key)):
            found.matched.append(before)
    for each in hooks:
        if found := by_key.get((each.hook.channel, each.hook.key)):
            found.hooks.append(each)
    matched, lost = [], []
    for (channel, _), of_key in by_key.items():
        settled = _settle_updates(of_key) if channel == UPDATES else _settle_changes(of_key, drift)
        matched += settled.matched
        lost += settled.lost
    return Settled(matched, sorted(lost, key=lambda each: (each.at, each.event_id, each.channel)))


class _OfKey(NamedTuple):
    records: list[HealRecord]
    matched: list[HealRecord]
    hooks: list[StoredHook]


def _settle_changes(of: _OfKey, drift: timedelta) -> Settled:
    """One change, one webhook."""
    known = {each.event_id: number for number, each in enumerate(of.matched)}
    hooks = [each for each in of.hooks if each.matched is None or each.matched in known]
    spent = {known[each.matched]: number for number, each in enumerate(hooks) if each.matched is not None}
    times = [_times(each.hook, drift) for each in hooks]
    pairs = pair([each.at for each in (*of.matched, *of.records)], times, spent=spent)
    matched, lost = [], []
    for number, record in enumerate(of.records, start=len(of.matched)):
        if number in pairs:
            matched.append(_matched(record, hooks[pairs[number]]))
        else:
            lost.append(record)
    return Settled(matched, lost)


def _times(hook: Hook, drift: timedelta) -> Times:
    """Which events a hook can report; in the index it spans more, where its body has a time."""
    if hook.at is not None and is_dated(hook):
        return Times(hook.at - drift, hook.at + drift)
    return Times(hook.since, hook.until)


def _settle_updates(of: _OfKey) -> Settled:
    """A webhook reports a state, and so of every change up to it; of those that are lost the last one is healed."""
    newest = max(
        (each.at for each in (*of.matched, *of.records) if any(_covers(hook, each) for hook in of.hooks)), default=None
    )
    matched, lost = [], []
    for record in sorted(of.records, key=lambda each: (each.at, each.event_id)):
        if newest is not None and record.at <= newest:
            matched.append(_superseded(record))
        else:
            lost.append(record)
    return Settled([*matched, *map(_superseded, lost[:-1])], lost[-1:])


def _covers(stored: StoredHook, record: HealRecord) -> bool:
    """Whether an update reports a change: by its own time or, as that may stand still, because it came right after."""
    hook = stored.hook
    if hook.at is not None and hook.at >= record.at - DRIFT:
        return True
    return hook.since <= record.at <= hook.until


def _matched(record: HealRecord, stored: StoredHook) -> HealRecord:
    return replace(
        record, state=HealState.MATCHED, webhook=stored.webhook, item=stored.hook.item, before=None, after=None
    )


def _superseded(record: HealRecord) -> HealRecord:
    return replace(record, state=HealState.MATCHED, reason=SUPERSEDED, before=None, after=None)


def orphans(
    hooks: Iterable[StoredHook], records: Iterable[HealRecord], webhook_types: Collection[str]
) -> list[StoredHook]:
    """Hooks whose key no event of the feed has: the token sees too little, or something here is wrong.

    A repeat of a webhook is none: its key has an event. `webhook_types`: `leads.status`, what the feed is read for. An
    incoming lead may leave its list before anybody looks.
    """
    known = {(each.channel, each.key) for each in records}
    return [
        each
        for each in hooks
        if each.matched is None
        and each.hook.channel != UPDATES
        and each.hook.key.partition(":")[0] in {*webhook_types} - {CAME, LEFT}
        and (each.hook.channel, each.hook.key) not in known
    ]
