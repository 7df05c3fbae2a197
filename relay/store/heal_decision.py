"""What a scan found, and what is stored by now -> what is to be stored. Pure, and the same for every store.

Webhooks are stored between the scan's reading and its writing. The writer locks source, channel and key against them,
reads the records and hooks again, and decides here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from relay.model.heal import BEAT_EVERY, HealRecord, HealState, Span, StoredHook
from relay.store.requests import KeepRequest

PAUSED = 3 * BEAT_EVERY  # a process that stood still for longer may have missed webhooks

Place: TypeAlias = tuple[str, int, str, str]
"""Of a hook: webhook, item, channel, key."""


class Decision(NamedTuple):
    """`records`: as they are stored from now on, in the order given; `written`: those that change.

    `spent`: places of hooks, each with the id of the event that it is spent on. `healed`: webhooks to keep.
    """

    records: list[HealRecord]
    written: list[HealRecord]
    spent: dict[Place, str]
    healed: list[KeepRequest]


def decide(
    records: Sequence[HealRecord],
    stored: Iterable[HealRecord],
    hooks: Iterable[StoredHook],
    healed: Sequence[KeepRequest],
    repeats: Iterable[StoredHook] = (),
) -> Decision:
    """See `contract.HealStore.record_heal`.

    `hooks` are those that `records` name, and those that can match one of them.
    """
    known = {(each.channel, each.event_id): each for each in stored}
    again = {_place(each) for each in repeats}
    unspent = _Unspent(each for each in hooks if _place(each) not in again)
    requests = {each.webhook.id: each for each in healed}
    decided: dict[int, HealRecord] = {}
    for position in sorted(range(len(records)), key=lambda nth: _turn(records[nth])):
        record = records[position]
        before = known.get((record.channel, record.event_id))
        decided[position] = known[record.channel, record.event_id] = _decide(record, before, unspent)
        if record.state is HealState.HEALED and record.webhook not in requests:
            raise ValueError(f"{record.event_id} is healed by {record.webhook}, which is not given")
    stored_before = {id(each) for each in stored}
    written = [each for each in decided.values() if id(each) not in stored_before]
    kept = {each.webhook for each in written if each.state is HealState.HEALED}
    return Decision(
        records=[decided[position] for position in range(len(records))],
        written=list({(each.channel, each.event_id): each for each in written}.values()),
        spent=unspent.spent,
        healed=[each for id_, each in requests.items() if id_ in kept],
    )


def _turn(record: HealRecord) -> tuple[bool, datetime, str]:
    """What is matched first, then the oldest: hooks have spans of one length, so the earliest end goes first."""
    return record.state is not HealState.MATCHED, record.at, record.event_id


def _decide(record: HealRecord, before: HealRecord | None, unspent: "_Unspent") -> HealRecord:
    if before and (before.state.final or record.state is HealState.SEEN):
        return before
    match record.state:
        case HealState.MATCHED if not unspent.spend(record):
            return before or replace(record, state=HealState.SEEN, webhook=None, item=0)
        case HealState.HEALED if hook := unspent.spend_one_for(record):
            record = replace(record, state=HealState.MATCHED, webhook=hook.webhook, item=hook.hook.item)
    if before:
        return replace(
            record,
            found_at=min(record.found_at, before.found_at),
            approved=record.approved or before.approved,
        )
    return record


class _Unspent:
    """The hooks that are not spent on an event; `spent`: those that were meanwhile."""

    def __init__(self, hooks: Iterable[StoredHook]) -> None:
        self._hooks = {_place(each): each for each in hooks}
        self.spent: dict[Place, str] = {}

    def spend(self, record: HealRecord) -> bool:
        """Spend the hook that the record names; False if another event has it.

        A record may name none, as when a newer hook tells of a later state; one that is gone was seen by the scan.
        """
        if record.webhook is None:
            return True
        place = (record.webhook, record.item, record.channel, record.key)
        hook = self._hooks.get(place)
        if (self.spent.get(place) or (hook and hook.matched)) not in (None, record.event_id):
            return False
        self.spent[place] = record.event_id
        return True

    def spend_one_for(self, record: HealRecord) -> StoredHook | None:
        """Spend the hook that can match the record and whose span ends first."""
        fit = [each for each in self._hooks.values() if self._fits(each, record)]
        if not fit:
            return None
        hook = min(fit, key=lambda each: (each.hook.until, _place(each)))
        self.spent[_place(hook)] = record.event_id
        return hook

    def _fits(self, hook: StoredHook, record: HealRecord) -> bool:
        return (
            hook.matched in (None, record.event_id)
            and self.spent.get(_place(hook)) is None
            and (hook.hook.channel, hook.hook.key) == (record.channel, record.key)
            and hook.hook.since <= record.at <= hook.hook.until
        )


def _place(hook: StoredHook) -> Place:
    return hook.webhook, hook.hook.item, hook.hook.channel, hook.hook.key


def gaps(spans: Iterable[Span], since: datetime) -> list[Span]:
    """Return what lies between the spans, as far as it ends after `since`; they may overlap."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.since <= merged[-1].until:
            merged[-1] = Span(merged[-1].since, max(merged[-1].until, span.until))
        else:
            merged.append(span)
    return [Span(before.until, after.since) for before, after in pairwise(merged) if after.since > since]


class RunSpan:
    """How long this process has run that heals, without a pause."""

    def __init__(self) -> None:
        self._span: Span | None = None

    def beat(self, now: datetime) -> Span:
        """Return the span that ends now: a new one for the first beat, after a pause, and if the clock was set back."""
        last = self._span
        goes_on = last is not None and last.until <= now <= last.until + PAUSED
        self._span = Span(last.since if last and goes_on else now, now)
        return self._span
