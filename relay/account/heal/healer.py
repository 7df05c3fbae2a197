"""The account's feed -> what became of each of its events; and webhooks that were lost -> healed ones.

    scan      reads each lane from its mark on, and once a day what may have come late; records what should be reported
    settle    matches what is old enough with the hooks of the webhooks that came
    heal      makes the webhooks of what is left over, or counts them, or has them wait

Every step is one transaction that may be repeated: a crash repeats a window, and the records' keys make that harmless.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from relay.account.heal import brake, entities
from relay.account.heal.bodies import needs_present
from relay.account.heal.brake import webhook_type
from relay.account.heal.channels import ACCOUNT, UPDATES
from relay.account.heal.healed import healed
from relay.account.heal.keys import LEFT
from relay.account.heal.matcher import Matched, Matcher, delayed, is_delayed, is_known_prompt
from relay.account.heal.reader import Get
from relay.account.heal.scanner import (
    DAILY,
    MOST_RECORDS,
    OVERLAP,
    READABLE_AFTER,
    Scanner,
    first_begun,
    scanned_upto,
)
from relay.account.heal.settle import orphans
from relay.account.heal.verdicts import (
    MARGIN,
    delayed_by_trigger,
    divided,
    is_closed,
    is_expired,
    is_judged,
    is_ready,
    unhealable,
    waiting,
    with_values,
)
from relay.account.heal.wanted import Wanted
from relay.account.server_clock import ServerTime
from relay.model import Event, RoutedEvent
from relay.model.accounts import HealMode
from relay.model.heal import APPROVED, HORIZON, HealRecord, HealState, Span, StoredHook
from relay.store.contract import HealStore
from relay.store.requests import KeepRequest

BATCH = 50
"""Webhooks that are healed in one transaction."""
SWITCHED_OFF = "a person had switched the webhook off"
GONE = "the account has it no more"
TRIGGER_UNKNOWN = "no webhook of this trigger has come in time yet: it may have a delay"
EXPIRED = "nobody approved it within seven days"
HELD = "a relay's spool may have had its webhook for seven days"
LAST_HOUR = timedelta(hours=1)

_UNDECIDED = (HealState.SEEN, HealState.WAITING)
_LOOKED_AT = (HealState.SEEN, HealState.UNHEALABLE)
"""By a run that an operator asks for; beside what waits."""
_SENT = (HealState.HEALED, HealState.LATE_HOOK)
_DECIDED = frozenset(HealState) - {HealState.SEEN}


@dataclass(kw_only=True)
class Scan:
    """What one run found, for metrics and the log. `verdicts`: number by (action, exactness, state).

    `orphans`: webhooks without an event that were none the run before. `differences`: of times in webhooks from the
    feed's, in seconds; `drift`: what is allowed for, if that is more than before. `expired`: how many were given up.
    """

    source: str
    verdicts: Counter[tuple[str, str, HealState]] = field(default_factory=Counter)
    late: int = 0
    orphans: int = 0
    stopped: frozenset[str] = frozenset()
    differences: list[float] = field(default_factory=list)
    drift: timedelta | None = None
    expired: int = 0
    scanned_upto: datetime | None = None


class Healer:
    """Heals the sources of one account. `get` asks its API, `plan` routes a healed event."""

    def __init__(
        self, store: HealStore, get: Get, *, plan: Callable[[Event], RoutedEvent], kommo: bool = False
    ) -> None:
        self._store = store
        self._get = get
        self._plan = plan
        self._scanner = Scanner(store, get, kommo=kommo)
        self._matcher = Matcher(store)
        self._judged_at: dict[str, datetime] = {}
        self._orphans: dict[str, set[tuple[str, int]]] = {}

    async def run(self, wanted: Wanted, server: ServerTime, *, now: datetime) -> Scan:
        """Scan, settle and heal one source. `server`: the time on the account's clock, `now` on the store's.

        Raises an AccountError or a StoreError; then everything that was committed stays, and the next run goes on.
        """
        scan = Scan(source=wanted.source)
        since, upto = await self._span(wanted, server, now)
        if since is not None and since < upto:
            scan.late = await self._scanner.scan(wanted, since, upto, now=now)
            await self._settle(wanted, scan, server, now)
        scan.scanned_upto = scanned_upto(wanted, await self._store.heal_marks(wanted.source))
        return scan

    async def run_since(self, wanted: Wanted, since: datetime, server: ServerTime, *, now: datetime) -> Scan:
        """Scan anew from `since` on, as an operator asked; also what was lost while the webhook was switched off."""
        scan = Scan(source=wanted.source)
        first, upto = await self._span(wanted, server, now)
        if first is not None and max(first, since) < upto:
            scan.late = await self._scanner.scan(wanted, max(first, since), upto, now=now, anew=True)
            asked = [HealState.UNHEALABLE]
            stored = await self._store.heal_records(wanted.source, since=max(first, since), states=asked)
            shown = await self._scanner.look(wanted, max(first, since), upto, now=now)
            shown += [each for each in stored if each.action == LEFT]  # no list has these, and they have no values
            await self._settle(replace(wanted, closed=()), scan, server, now, asked=asked, shown=shown)
        scan.scanned_upto = scanned_upto(wanted, await self._store.heal_marks(wanted.source))
        return scan

    async def look(self, wanted: Wanted, since: datetime, server: ServerTime, *, now: datetime) -> Scan:
        """Count what healing from `since` on would do, and store nothing of it. `since` may be before any webhook."""
        scan = Scan(source=wanted.source)
        records = await self._scanner.look(wanted, since, server.at - READABLE_AFTER, now=now)
        known = {
            (each.channel, each.event_id): each for each in await self._store.heal_records(wanted.source, since=since)
        }
        decided = [known[place] for each in records if (place := (each.channel, each.event_id)) in known]
        _count(scan, (each for each in decided if each.state not in _LOOKED_AT))
        again = [each for each in records if known.get((each.channel, each.event_id), each).state in _LOOKED_AT]
        ready = [each for each in again if is_ready(each, wanted, server)]
        settled = (await self._matcher.match(wanted, ready, server)).settled
        _count(scan, [*settled.matched, *(replace(each, state=HealState.WOULD_HEAL) for each in settled.lost)])
        return scan

    async def _span(self, wanted: Wanted, server: ServerTime, now: datetime) -> tuple[datetime | None, datetime]:
        """Since when there is something to heal, and up to when the feed is complete; None if there is nothing yet.

        What was before the first webhook cannot be told apart from what was lost. That one may be purged by now.
        """
        upto = server.at - READABLE_AFTER
        begun = first_begun(await self._store.heal_marks(wanted.source))
        if begun is None and (first := await self._store.first_hook(wanted.source)):
            begun = first + (server.at - now)
        if begun is None or wanted.mode is HealMode.OFF:
            return None, upto
        return max(begun, server.at - HORIZON + MARGIN), upto

    # ---- settle

    async def _settle(
        self,
        wanted: Wanted,
        scan: Scan,
        server: ServerTime,
        now: datetime,
        *,
        asked: Collection[HealState] = (),
        shown: Collection[HealRecord] = (),
    ) -> None:
        """Match what is old enough; `asked`: states that an operator wants to be looked at again.

        `shown`: of which records; with the values that the feed has, for the store has dropped them.
        """
        states = (*_UNDECIDED, *asked)
        open_ = await self._store.heal_records(wanted.source, since=server.at - HORIZON, states=states)
        places = {(each.channel, each.event_id) for each in shown}
        open_ = [each for each in open_ if each.state in _UNDECIDED or (each.channel, each.event_id) in places]
        open_ = with_values(open_, shown)
        ready = [each for each in open_ if is_ready(each, wanted, server)]
        others = [each for each in open_ if not is_ready(each, wanted, server)]
        found = await self._matcher.match(wanted, ready, server, others=others)
        scan.differences += found.differences
        scan.drift = found.drift
        if found.marks:  # before the records that show them: no later run looks at those again
            await self._store.record_heal(wanted.source, [], marks=found.marks)
        await self._record(wanted, scan, found.settled.matched)
        expired = [each for each in others if is_expired(each, server)]
        given_up = [unhealable(each, EXPIRED if each.state is HealState.WAITING else HELD) for each in expired]
        await self._record(wanted, scan, given_up)
        scan.expired = len(expired)
        await self._heal(wanted, scan, found, server, now)

    async def _record(self, wanted: Wanted, scan: Scan, records: Sequence[HealRecord]) -> None:
        for n in range(0, len(records), MOST_RECORDS):
            _count(scan, await self._store.record_heal(wanted.source, records[n : n + MOST_RECORDS]))

    # ---- heal

    async def _heal(self, wanted: Wanted, scan: Scan, found: Matched, server: ServerTime, now: datetime) -> None:
        lost = found.settled.lost
        if not lost and server.at - self._judged_at.get(wanted.source, server.at - DAILY) < OVERLAP:
            return
        stopped = await self._orphaned(wanted, scan, server)
        scan.stopped = frozenset(stopped)
        marks = await self._store.heal_marks(wanted.source)
        prompt = await self._matcher.refuted(wanted.source, marks, since=server.at - HORIZON)
        lost = [
            *lost,
            *await self._matcher.given_up(wanted.source, prompt, since=server.at - HORIZON + MARGIN, but=lost),
        ]
        outages = await self._store.outages(now - HORIZON)
        ahead = server.at - now
        of_server = [*wanted.outages, *(Span(each.since + ahead, each.until + ahead) for each in outages)]
        lost = [replace(each, reason=brake.reason(each, of_server)) for each in lost]
        closed, lost = divided(lost, lambda each: is_closed(each, wanted.closed))
        await self._record(wanted, scan, [unhealable(each, SWITCHED_OFF) for each in closed])
        lost = [each for each in lost if webhook_type(each) not in stopped]
        too_late, lost = divided(lost, lambda each: each.channel not in prompt and is_delayed(each.channel, marks))
        await self._record(wanted, scan, [delayed_by_trigger(each) for each in too_late])
        if wanted.mode is HealMode.REPORT:
            await self._record(wanted, scan, [replace(each, state=HealState.WOULD_HEAL) for each in lost])
            return
        if not lost:
            return
        unknown, known = divided(lost, lambda each: not each.approved and not is_known_prompt(each.channel, marks))
        await self._record(wanted, scan, [waiting(each, TRIGGER_UNKNOWN) for each in unknown])
        braked = await self._braked(wanted, known, server, now)
        await self._record(wanted, scan, [waiting(each, each.reason) for each in braked.waiting])
        for n in range(0, len(braked.healed), BATCH):
            await self._send(wanted, scan, braked.healed[n : n + BATCH], found.repeats, now)

    async def _braked(
        self, wanted: Wanted, lost: Sequence[HealRecord], server: ServerTime, now: datetime
    ) -> brake.Braked:
        sent = await self._store.heal_records(wanted.source, since=server.at - HORIZON, states=_SENT)
        lately = sum(each.found_at > now - DAILY for each in sent)
        since = server.at - max(each.settle for each in wanted.limits) - LAST_HOUR
        recent = [each for each in await self._store.heal_records(wanted.source, since=since) if each.state in _DECIDED]
        approved_at = (await self._store.heal_marks(wanted.source)).get(APPROVED)
        stopped = brake.stopped([each for each in lost if each.at >= since], recent, approved_at=approved_at)
        return brake.brake(lost, room=wanted.most - lately, stopped=stopped)

    async def _send(
        self,
        wanted: Wanted,
        scan: Scan,
        lost: Sequence[HealRecord],
        repeats: Sequence[StoredHook],
        now: datetime,
    ) -> None:
        """Make the webhooks of lost records, with what the account has of their entities now."""
        places = [entities.place(each) for each in lost if needs_present(each)]
        present = await entities.fetch(self._get, places, filters=wanted.account.filters)
        records: list[HealRecord] = []
        requests: list[KeepRequest] = []
        for each in lost:
            has = present.get(entities.place(each))
            if has is None and each.channel == UPDATES:
                records.append(unhealable(each, GONE))
                continue
            try:
                record, request = healed(each, wanted.account, has, found_at=now, plan=self._plan)
            except Exception as error:  # noqa: BLE001  a fault of ours with one of them must not hold up all others
                records.append(unhealable(each, f"a fault of the relay: {type(error).__name__}"))
                continue
            records.append(record)
            requests.append(request)
        _count(scan, await self._store.record_heal(wanted.source, records, healed=requests, repeats=repeats))

    async def _orphaned(self, wanted: Wanted, scan: Scan, server: ServerTime) -> set[str]:
        """What webhooks came for that no event of the feed shows: until one does, nothing of that is healed."""
        until = server.at - READABLE_AFTER - OVERLAP
        since = until - LAST_HOUR
        marks = await self._store.heal_marks(wanted.source)
        channels = {ACCOUNT, *(each.name for each in wanted.triggers)}
        hooks = [
            each
            for each in await self._store.hooks(wanted.source, since=since, until=until)
            if each.hook.channel in channels and is_judged(each, wanted, since, until, marks)
        ]
        records = await self._store.heal_records(wanted.source, since=since - DAILY) if hooks else ()
        if late := delayed(hooks, records):
            await self._store.record_heal(wanted.source, [], marks=late)
        found = orphans(hooks, records, wanted.subscribed)
        places = {(each.webhook, each.hook.item) for each in found}
        scan.orphans = len(places - self._orphans.get(wanted.source, set()))
        self._orphans[wanted.source] = places
        self._judged_at[wanted.source] = server.at
        return {each.hook.key.partition(":")[0] for each in found}


def _count(scan: Scan, records: Iterable[HealRecord]) -> None:
    for each in records:
        scan.verdicts[each.action, each.exactness or "", each.state] += 1
