"""Watch the webhook of one source in amoCRM, and switch it on again where the file allows it and we were the cause.

    look ─▶ state ─┬─ on: nothing to do
                   ├─ off, and failed answers or outages of ours came before ─▶ self-test ─▶ reenable ─▶ look again
                   └─ off for another reason: a person's decision, which stands until `relay guard resume`

One flag says both that amoCRM or that a person switched it off, so only evidence of our own counts (`cause`).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from relay.account import cause
from relay.account.answers import without_request
from relay.account.limiter import Priority
from relay.account.reenable import Api, create, reenable
from relay.account.subscription import (
    DESTINATION,
    WEBHOOKS,
    Seen,
    Subscription,
    destinations,
    read_subscriptions,
    state_after,
    state_of,
)
from relay.errors import AccountError
from relay.model import Json, Secret, Source
from relay.model.accounts import Reenable
from relay.model.heal import Span
from relay.model.subscription import GuardRecord, SubscriptionState, SwitchedOff
from relay.signals import Emit
from relay.signals.account import SubscriptionChanged, SubscriptionReenabled
from relay.store.guard_contract import GuardStore

ON = frozenset({SubscriptionState.OK, SubscriptionState.SETTINGS_DIFFER})
_WELL = frozenset({None, SubscriptionState.OK, SubscriptionState.API_AWAY})

SelfTest = Callable[[Secret], Awaitable[str | None]]
"""Post to our own address as amoCRM would; returns why that did not reach a relay, None if it did."""
Outages = Callable[[datetime], Awaitable[Sequence[Span]]]
"""Returns the spans after a time in which no relay ran."""


class Guard:
    """Watches one source, whose routes need the settings `needed`. One relay alone does so at a time.

    What it knows is in the store, for the next one and for those who ask.
    """

    def __init__(
        self,
        source: Source,
        needed: Collection[str],
        *,
        api: Api,
        store: GuardStore,
        outages: Outages,
        test: SelfTest,
        emit: Emit,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._needed = needed
        self._ours = destinations(source)
        self._reenable = source.guard.reenable if source.guard else Reenable.FALSE
        self._api = api
        self._store = store
        self._outages = outages
        self._test = test
        self._emit = emit
        self._clock = clock

    async def look(self) -> GuardRecord:
        """Look once, do what follows, and return what is known then; finishes what a look before left half done."""
        record = await self._known()
        if record.off:
            return record
        try:
            return await self._look(record)
        except AccountError as error:
            record = await self._known()
            seen = state_after(error)
            if record.recreating:
                seen = Seen(SubscriptionState.MISSING, f"deleted, and not created anew yet: {seen.detail}")
            return await self._note(record, replace(seen, detail=self._masked(seen.detail)))

    async def _look(self, record: GuardRecord) -> GuardRecord:
        if record.recreating:
            record = await create(self._api, self._ours[0], record, store=self._store)
        found, seen = await self._find()
        if seen.state not in ON and seen.state is not record.state:
            # `relay connect` or `disconnect` may be at it: what they do stands in amoCRM and in the store by then
            found, seen = await self._find()
            record = await self._known()
            if record.off:
                return record
        record = await self._note(record, seen)
        if seen.state is SubscriptionState.DISABLED and await self._may_try(record):
            return await self._try(record, found[0])
        return record

    async def _known(self) -> GuardRecord:
        return (await self._store.records()).get(self._source.name, GuardRecord(source=self._source.name))

    async def _find(self) -> tuple[list[Subscription], Seen]:
        """Return our webhooks of the account, that of the first token first, and their state."""
        account = await self._get("/api/v4/account", {})
        if refusal := self._source.refusal(account or {}):
            return [], Seen(SubscriptionState.WRONG_ACCOUNT, f"the token of the account is another one's: {refusal}")
        found: list[Subscription] = []
        for each in self._ours:
            found += read_subscriptions(await self._get(WEBHOOKS, {DESTINATION: each.reveal()}), [each])
        return found, state_of(found, self._needed)

    async def _get(self, path: str, params: Mapping[str, str]) -> Mapping[str, Json] | None:
        return await self._api.get(path, params, priority=Priority.GUARD)

    # ---- what is known then

    async def _note(self, before: GuardRecord, seen: Seen) -> GuardRecord:
        """Record what was seen, and announce it if it is new."""
        if seen.state is SubscriptionState.API_AWAY and before.state not in _WELL:
            return before  # what was wrong still is, as far as we know
        now = self._clock()
        since = before.since if seen.state is before.state else now
        record = replace(before, state=seen.state, since=since, checked_at=now, detail=seen.detail)
        open_ = await self._open_span(now)
        span = None
        if seen.state in ON:
            # a cause is spent once the webhook is on again, whoever did it
            spent_at = now if before.disabled_at else before.spent_at
            record = replace(record, seen_on_at=now, disabled_at=None, spent_at=spent_at)
            span = open_ and open_._replace(until=now)
        elif seen.state is SubscriptionState.DISABLED:
            record = await self._disabled(replace(record, disabled_at=before.disabled_at or now))
            if before.disabled_at is None and not open_:
                span = _switched_off(before, now)._replace(ours=await self._was_ours(record))
        elif seen.state is SubscriptionState.MISSING:
            record = replace(record, disabled_at=None)
            span = None if open_ or record.recreating else _switched_off(before, now)
        await self._store.record(record, switched_off=span)
        if (record.state, without_request(record.detail)) != (before.state, without_request(before.detail)):
            self._emit(
                SubscriptionChanged(
                    source=record.source, state=seen.state, before=before.state, detail=record.detail or None
                )
            )
        return record

    async def _open_span(self, now: datetime) -> SwitchedOff | None:
        spans = await self._store.switched_off(self._source.name, since=now)
        return next((each for each in spans if each.until is None), None)

    async def _disabled(self, record: GuardRecord) -> GuardRecord:
        """Add who has switched it off, as far as we can tell, and what to do."""
        by_hand, resume = "switch it on in amoCRM", f"relay guard resume {record.source}, or "
        if self._reenable is Reenable.FALSE:
            resume = ""
        if cause.was_tried(record):
            said = f"a try to switch it on was in vain: {resume}{by_hand}"
        elif not await self._was_ours(record):
            said = f"not for failed answers of ours, so a person may have done it: {resume}{by_hand}"
        elif self._reenable is Reenable.FALSE:
            said = f"amoCRM did it, for failed answers of ours: {by_hand}"
        else:
            said = "amoCRM did it, for failed answers of ours: it is about to be switched on"
        return replace(record, detail=record.detail or f"it is switched off, {said}")

    # ---- switch it on

    async def _may_try(self, record: GuardRecord) -> bool:
        if self._reenable is Reenable.FALSE:
            return False
        return cause.is_resumed(record) or await self._was_ours(record)

    async def _was_ours(self, record: GuardRecord) -> bool:
        if (window := cause.window(record)) is None:
            return False
        failed = await self._store.failed_answers(record.source, since=window.since, until=window.until)
        return cause.is_enough(window, failed=failed, outages=await self._outages(window.since))

    async def _try(self, record: GuardRecord, found: Subscription) -> GuardRecord:
        if why := await self._test(found.destination):
            said = f"it is switched off, and is switched on once our own address answers: {self._masked(why)}"
            return await self._note(record, Seen(SubscriptionState.DISABLED, said))
        record = await reenable(
            self._api,
            found,
            record,
            store=self._store,
            is_off=self._is_off,
            recreate=self._reenable is Reenable.RECREATE,
        )
        _, seen = await self._find()
        if seen.state in ON:
            self._emit(SubscriptionReenabled(source=record.source))
        else:
            record = replace(record, spent_at=self._clock())
        return await self._note(record, seen)

    async def _is_off(self) -> bool:
        return (await self._find())[1].state is SubscriptionState.DISABLED

    def _masked(self, text: str) -> str:
        """Without the tokens of the source: an error may repeat the address that was asked for."""
        for token in self._source.tokens:
            text = text.replace(token.reveal(), "***")
        return text


def _switched_off(before: GuardRecord, now: datetime) -> SwitchedOff:
    """A gap, which begins at the last look that did not show it."""
    if before.state in ON or before.state is SubscriptionState.API_AWAY:
        return SwitchedOff(before.seen_on_at or now)
    return SwitchedOff(before.checked_at or now)
