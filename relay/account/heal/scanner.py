"""The account's feed, lane by lane, and its lists -> a record of each event for each webhook that should report it.

A lane's mark says up to when it was read completely; it moves in the transaction that records what was found. A window
that a crash or an error cut off is read again, and the records' keys make that harmless.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain

from relay.account.heal.channels import parse
from relay.account.heal.expected import ExpectedWebhook, action_at_stage, expected_webhooks
from relay.account.heal.feed_events import FeedEvent
from relay.account.heal.incoming import IncomingLeads, came, listed
from relay.account.heal.lanes import INCOMING, LISTS, TASKS, Lane, lanes, lists
from relay.account.heal.reader import FeedReader, Get
from relay.account.heal.stages import StageHistory
from relay.account.heal.tasks import changed_tasks
from relay.account.heal.wanted import Wanted
from relay.errors import AccountAway, Forbidden, RequestRefused
from relay.model.heal import HORIZON, HealRecord
from relay.store.contract import HealStore

READABLE_AFTER = timedelta(minutes=2)
"""An event is in the feed this long after it happened; at most 12 s were seen."""
OVERLAP = timedelta(minutes=10)
"""How much of what was scanned is read again, for events that came into the feed later than others."""
DAILY = timedelta(hours=24)
DAILY_LOOK = timedelta(hours=49)
"""What is read again once a day: the period, a day that an event may be late, and a margin. 24 h would leave a gap."""
CHUNK = timedelta(hours=6)
"""Of the feed, in one transaction with its mark."""

MOST_RECORDS = 500
"""Records in one transaction."""

_NO_LIST = (RequestRefused, Forbidden, AccountAway)
"""An account may have no such list, or not answer for it alone: what the feed has is healed all the same."""

DAILY_MARK = "daily"
_RUN = "run"
_WANTED, _BEGUN = "wanted ", "begun "  # in front of what is wanted: marks that are no lane's
_OFF, _ON = "off", "on"  # when this relay first saw that the source does not heal, and that it does; on its own clock


class Scanner:
    """Scans for the sources of one account."""

    def __init__(self, store: HealStore, get: Get, *, kommo: bool) -> None:
        self._store = store
        self._get = get
        self._reader = FeedReader(get, kommo=kommo)
        self._incoming: dict[str, IncomingLeads] = {}

    async def scan(self, wanted: Wanted, since: datetime, upto: datetime, *, now: datetime, anew: bool = False) -> int:
        """Record what the feed has from `since` on; return how many events came into it late.

        `now` is the store's time, the others are the account's. `anew`: also what was scanned before. Raises an
        AccountError or a StoreError.
        """
        begun = await self._begin(wanted, since, upto, now)
        marks = await self._store.heal_marks(wanted.source)
        looked_at = marks.get(DAILY_MARK)
        is_daily = looked_at is not None and upto - looked_at >= DAILY
        late = 0
        for lane in lanes(wanted.subscribed, wanted.triggers):
            mark = marks.get(lane.name)
            begin = max(since, _from(None if anew else mark, since, upto, is_daily=is_daily))
            late += await self._scan_lane(wanted, lane, begin, upto, mark, begun, now)
        for name in lists(wanted.subscribed):
            first = upto - HORIZON if name == INCOMING else since  # which were in the list before shows who leaves it
            begin = max(first, _from(None if anew else marks.get(name), first, upto, is_daily=is_daily))
            with suppress(*_NO_LIST):
                await self._scan_list(wanted, name, begin, upto, marks.get(name), begun, now)
        if looked_at is None or is_daily:
            await self._store.record_heal(wanted.source, [], marks={DAILY_MARK: upto})
        return late

    async def look(self, wanted: Wanted, since: datetime, upto: datetime, *, now: datetime) -> list[HealRecord]:
        """What `scan` would record, whenever it was; nothing is stored."""
        since = since.replace(microsecond=0)  # as the feed's times are
        begun = dict.fromkeys([*wanted.subscribed, *(each.name for each in wanted.triggers)], since)
        names = lists(wanted.subscribed)
        found: list[HealRecord] = []
        for lane in lanes(wanted.subscribed, wanted.triggers):
            found += await self._records(wanted, await self._reader.read(lane, since, upto), begun, now)
        if TASKS in names:
            found += await changed_tasks(wanted.source, self._get, self._reader, since, upto, now=now)
        if INCOMING in names:
            items, _ = await listed(self._get, since)
            found += [each for each in came(wanted.source, items, begun, now) if not each.state.final]
        return found

    async def _begin(self, wanted: Wanted, since: datetime, upto: datetime, now: datetime) -> Mapping[str, datetime]:
        """Since when each subscription and trigger is wanted: no webhook was due for what was before.

        One that was not wanted in the run before begins now. So do all once the source heals again: what came while it
        did not is in no index.
        """
        marks = await self._store.heal_marks(wanted.source)
        last = marks.get(_RUN)
        names = [*wanted.subscribed, *(each.name for each in wanted.triggers)]
        new = [name for name in names if last is not None and marks.get(_WANTED + name, since) < last]
        first = {_BEGUN + name: since for name in names if last is None}
        begun = first | {_BEGUN + name: upto for name in new}
        at = {_RUN: upto, **{_WANTED + name: upto for name in names}}
        if _is_off(marks):
            begun = {_BEGUN + name: upto + READABLE_AFTER for name in names}
            at[_ON] = max(now, marks[_OFF] + timedelta(seconds=1))
        await self._store.record_heal(wanted.source, [], marks=begun | at)
        known = {**marks, **begun}
        return {name: known.get(_BEGUN + name, upto) for name in names}

    async def _scan_lane(
        self,
        wanted: Wanted,
        lane: Lane,
        since: datetime,
        upto: datetime,
        mark: datetime | None,
        begun: Mapping[str, datetime],
        now: datetime,
    ) -> int:
        """Record the lane's events of a span, oldest first, and move its mark with them; return how many were late."""
        late = 0
        begin = since
        while begin < upto:
            end = min(begin + CHUNK, upto)
            events = await self._reader.read(lane, begin, end)
            stored = await self._store.heal_records(wanted.source, since=begin - timedelta(seconds=1))
            known = {(each.channel, each.event_id) for each in stored}
            found = await self._records(wanted, events, begun, now)
            fresh = [each for each in found if (each.channel, each.event_id) not in known]
            await self._store.record_heal(wanted.source, fresh, marks={lane.name: end})
            late += len({each.event_id for each in fresh if mark is not None and each.at <= mark})
            begin = end
        return late

    async def _scan_list(
        self,
        wanted: Wanted,
        name: str,
        since: datetime,
        upto: datetime,
        mark: datetime | None,
        begun: Mapping[str, datetime],
        now: datetime,
    ) -> None:
        """Record what a list has that changed in a span, and move its mark."""
        incoming = self._incoming.setdefault(wanted.source, IncomingLeads(wanted.source, self._get))
        if name == INCOMING:
            if incoming.is_behind(mark):
                stored = [await self._store.records_of_webhook_type(wanted.source, each) for each in LISTS[name]]
                incoming.remember(chain.from_iterable(stored))
            found = await incoming.look(since, upto, begun=begun, now=now)
        else:
            found = await changed_tasks(wanted.source, self._get, self._reader, since, upto, now=now)
            found = [each for each in found if any(begun.get(of, upto) <= each.at for of in LISTS[name])]
        for n in range(0, len(found), MOST_RECORDS):
            await self._store.record_heal(wanted.source, found[n : n + MOST_RECORDS])
        await self._store.record_heal(wanted.source, [], marks={name: upto})
        if name == INCOMING:
            incoming.note(found, upto)

    async def _records(
        self, wanted: Wanted, events: Iterable[FeedEvent], begun: Mapping[str, datetime], now: datetime
    ) -> list[HealRecord]:
        found = []
        history = StageHistory(self._get)
        for event in events:
            expected = [*expected_webhooks(event, wanted.triggers)]
            action = action_at_stage(event)
            at_stage = [each for each in wanted.triggers if each.action == action]
            if action and at_stage:
                expected += await history.expected(event, action, at_stage)
            found += [_record(wanted, event, each, now) for each in expected if _was_wanted(each, begun, event.at)]
        return found


def _from(mark: datetime | None, since: datetime, upto: datetime, *, is_daily: bool) -> datetime:
    """Where the scan of a lane begins."""
    begin = since if mark is None else mark - OVERLAP
    return min(begin, upto - DAILY_LOOK) if is_daily else begin


async def switch_off(store: HealStore, source: str, *, now: datetime) -> None:
    """Mark that the source's webhooks are not indexed from now on, if that is not marked yet."""
    if not _is_off(await store.heal_marks(source)):
        await store.record_heal(source, [], marks={_OFF: now})


def _is_off(marks: Mapping[str, datetime]) -> bool:
    return _OFF in marks and (_ON not in marks or marks[_ON] <= marks[_OFF])


def first_begun(marks: Mapping[str, datetime]) -> datetime | None:
    """Since when anything is wanted; None before the first scan."""
    return min((at for name, at in marks.items() if name.startswith(_BEGUN)), default=None)


def begun_at(marks: Mapping[str, datetime], name: str) -> datetime | None:
    """Since when a subscription, `leads.status`, or a trigger is wanted; None if it is not."""
    return marks.get(_BEGUN + name)


def wanted_now(marks: Mapping[str, datetime]) -> frozenset[str]:
    """What the last run wanted: `leads.status`, and names of triggers; empty before the first scan."""
    last = marks.get(_RUN)
    names = (name.removeprefix(_WANTED) for name, at in marks.items() if name.startswith(_WANTED) and at == last)
    return frozenset(names)


def wants_nothing(marks: Mapping[str, datetime]) -> bool:
    """Whether the last run wanted nothing: the account has no webhook that comes to the source."""
    return _RUN in marks and not wanted_now(marks)


def scanned_upto(wanted: Wanted, marks: Mapping[str, datetime]) -> datetime | None:
    """Up to when every lane is read completely; None before the first scan."""
    found = [marks.get(lane.name) for lane in lanes(wanted.subscribed, wanted.triggers)]
    known = [each for each in found if each is not None]
    return min(known) if known and len(known) == len(found) else None


def _was_wanted(webhook: ExpectedWebhook, begun: Mapping[str, datetime], at: datetime) -> bool:
    """Whether a webhook was wanted at that time."""
    names = [webhook.channel] if parse(webhook.channel) else [webhook.action, webhook.key.webhook_type]
    return any(name in begun and begun[name] <= at for name in names)


def _record(wanted: Wanted, event: FeedEvent, webhook: ExpectedWebhook, now: datetime) -> HealRecord:
    return HealRecord(
        source=wanted.source,
        channel=webhook.channel,
        event_id=event.id,
        type=event.type,
        action=webhook.action,
        entity=event.entity,
        entity_id=webhook.entity_id or str(event.entity_id),
        key=webhook.key.text,
        at=event.at,
        found_at=now,
        before=event.before,
        after=event.after,
        exactness=webhook.exactness,
    )
