"""A source of the routes -> rounds of healing, one a minute: what is wanted, a scan, and what operators asked for."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from relay.account.heal.channels import DpChannel, Stage, parse
from relay.account.heal.healer import Healer, Scan
from relay.account.heal.reader import Params
from relay.account.heal.wanted import AccountFacts, Wanted, wanted
from relay.account.server_clock import ServerTime
from relay.errors import AccountError
from relay.model import Account, Event, Json, RoutedEvent, Source
from relay.model.accounts import HealMode
from relay.model.heal import APPROVED, HORIZON, HealRequest, HealState, Span
from relay.model.names import Catalog, Resolved, find_stage
from relay.model.subscription import SwitchedOff
from relay.rfc3339 import rfc3339
from relay.signals import Emit
from relay.signals.account import Healed, SourceScanned
from relay.store.contract import GuardStore, HealStore
from relay.store.records import RelayStanding, Status

EVERY = 60.0  # seconds between two rounds
UNNAMED = 5.0  # seconds until the next look whether names are known
UNKNOWN_CLOCK = 5.0  # seconds until the next try, if the account's clock is not known
KNOWN_FOR = timedelta(minutes=10)  # after that the account is asked again which webhooks it sends

ACCOUNT, WEBHOOKS = "/api/v4/account", "/api/v4/webhooks"


class Api(Protocol):
    """What of `AccountClient` is needed."""

    async def get(self, path: str, params: Params | None = None) -> Mapping[str, Json] | None:
        """See `AccountClient.get`."""
        ...

    def server_time(self) -> ServerTime | None:
        """See `AccountClient.server_time`."""
        ...


class Rounds:
    """Heals one source of an account, whose `catalog` names stages. `status`: of the store."""

    def __init__(
        self,
        source: Source,
        account: Account,
        *,
        api: Api,
        store: HealStore,
        guard: GuardStore,
        catalog: Catalog | None,
        status: Callable[[], Awaitable[Status]],
        plan: Callable[[Event], RoutedEvent],
        clock: Callable[[], datetime],
        emit: Emit,
    ) -> None:
        self._source = source
        self._account = account
        self._api = api
        self._store = store
        self._guard = guard
        self._stages = stages(source, catalog)
        self._unnamed = unresolved(source, catalog)
        self._status = status
        self._clock = clock
        self._emit = emit
        self._healer = Healer(store, api.get, plan=plan, kommo=account.is_kommo)
        self._known: tuple[AccountFacts, tuple[str, ...], datetime] | None = None
        self._late: set[str] | None = None

    async def round(self) -> float:
        """Heal once, and answer what was asked; return the seconds until the next round.

        Nothing is done before the account's names were fetched once, if a trigger's stage is given by name: what is
        wanted later begins later, and what happened before would not be healed.

        Raises an AccountError or a StoreError: then the next round goes on where this one was.
        """
        if self._unnamed:
            return UNNAMED
        facts, settings = await self._facts()
        server = self._api.server_time()
        if server is None:
            return UNKNOWN_CLOCK
        now = self._clock()
        found = await self._wanted(facts, settings, server.at - now)
        self._announce(await self._healer.run(found, server, now=now), await self._late_hooks(now))
        for request in await self._store.heal_requests():
            if request.source == self._source.name:
                await self._answer(request, found, server, now)
        return EVERY

    async def _answer(self, request: HealRequest, found: Wanted, server: ServerTime, now: datetime) -> None:
        run = self._healer.look if request.dry_run else self._healer.run_since
        try:
            scan = await run(found, request.since, server, now=now)
        except AccountError as error:
            await self._store.answer_heal(request.id, {"error": str(error)})
            raise
        if not request.dry_run:
            self._announce(scan, ())
        await self._store.answer_heal(request.id, answer(scan))

    async def _facts(self) -> tuple[AccountFacts, tuple[str, ...]]:
        """What the account says of itself, and the settings of this source's webhook there."""
        now = self._clock()
        if self._known is None or now - self._known[2] > KNOWN_FOR:
            document = await self._api.get(ACCOUNT, {"with": "is_api_filter_enabled"}) or {}
            kommo = self._account.is_kommo
            facts = AccountFacts(
                id=int(document.get("id", 0)),
                subdomain=str(document.get("subdomain", "")),
                url=self._account.url,
                kommo=kommo,
                filters=kommo or bool(document.get("is_api_filter_enabled")),
            )
            settings = subscribed(self._source, await self._api.get(WEBHOOKS))
            self._known = facts, settings, now
        return self._known[:2]

    async def _wanted(self, facts: AccountFacts, settings: Iterable[str], ahead: timedelta) -> Wanted:
        off = await self._guard.switched_off(self._source.name, since=self._clock() - HORIZON)
        status = await self._status()
        held = held_since(status.relays)
        found = wanted(
            self._source,
            facts,
            settings=settings,
            stages=self._stages,
            held_since=None if held is None else held + ahead,
            closed=[_span(each, ahead, self._clock()) for each in off if not each.ours],
            outages=[_span(each, ahead, self._clock()) for each in off if each.ours],
        )
        if await self._is_restored():
            found = replace(found, most=0)
        if found.mode is HealMode.REPORT and not self._source.heal.dp:
            return replace(found, triggers=tuple(await self._learned()))
        return found

    async def _is_restored(self) -> bool:
        """Whether the store misses webhooks that were answered, as one of a backup: what seems lost may be delivered.

        Then everything waits until an operator approves. That he accepts the loss does not say that nothing of it was
        delivered.
        """
        lost_at = await self._store.last_loss()
        if lost_at is None or lost_at < self._clock() - HORIZON:
            return False
        approved_at = (await self._store.heal_marks(self._source.name)).get(APPROVED)
        return approved_at is None or approved_at < lost_at

    async def _learned(self) -> list[DpChannel]:
        """The triggers that the webhooks of the last days show: good enough to count by, not to send by."""
        channels = map(parse, await self._store.channels(self._source.name))
        actions = self._source.heal.actions
        return [each for each in channels if each and (actions is None or f"leads.{each.action}" in actions)]

    async def _late_hooks(self, now: datetime) -> list[tuple[str, str]]:
        """Webhooks that came after their event was healed, since the round before: action and exactness.

        None in the first round: a process before this one has counted them.
        """
        records = await self._store.heal_records(
            self._source.name, since=now - timedelta(days=7), states=[HealState.LATE_HOOK]
        )
        before, self._late = self._late, {f"{each.channel} {each.event_id}" for each in records}
        if before is None:
            return []
        return [
            (each.action, each.exactness or "") for each in records if f"{each.channel} {each.event_id}" not in before
        ]

    def _announce(self, scan: Scan, late_hooks: Iterable[tuple[str, str]]) -> None:
        verdicts = [
            Healed(action, exactness, state, number) for (action, exactness, state), number in scan.verdicts.items()
        ]
        verdicts += [Healed(action, exactness, HealState.LATE_HOOK, 1) for action, exactness in late_hooks]
        self._emit(
            SourceScanned(
                source=scan.source,
                verdicts=tuple(verdicts),
                late=scan.late,
                orphans=scan.orphans,
                stopped=tuple(sorted(scan.stopped)),
                differences=tuple(scan.differences),
                drift=scan.drift.total_seconds() if scan.drift else None,
                expired=scan.expired,
                scanned_upto=scan.scanned_upto,
            )
        )


def answer(scan: Scan) -> Json:
    """What `relay heal run` prints: by action and state, how many."""
    found = [
        {"action": action, "exactness": exactness or None, "state": str(state), "number": number}
        for (action, exactness, state), number in sorted(scan.verdicts.items())
    ]
    upto = scan.scanned_upto
    return {"found": found, "stopped": sorted(scan.stopped), "scanned_upto": rfc3339(upto) if upto else None}


def subscribed(source: Source, listing: Mapping[str, Json] | None) -> tuple[str, ...]:
    """The settings of the account's webhooks that come to this source, whatever host they name, switched on or not."""
    paths = tuple(f"/hooks/{source.name}/{token.reveal()}" for token in source.tokens)
    hooks = (listing or {}).get("_embedded", {}).get("webhooks") or []
    found = {
        str(setting)
        for each in hooks
        if isinstance(each, Mapping) and str(each.get("destination", "")).partition("?")[0].endswith(paths)
        for setting in each.get("settings") or ()
    }
    return tuple(sorted(found))


def stages(source: Source, catalog: Catalog | None) -> Mapping[str, Stage]:
    """The stages of a source's triggers, by their text; those that the catalog does not know are left out.

    `752662/142`, both ids, needs no catalog; `142` alone names none, if there are several pipelines.
    """
    pipelines = catalog.pipelines if catalog else ()
    pairs = [(stage.id, pipeline.id) for pipeline in pipelines for stage in pipeline.stages]
    several = {each for each, number in Counter(stage for stage, _ in pairs).items() if number > 1}
    pipeline_of = {stage: pipeline for stage, pipeline in pairs if stage not in several}
    found = {}
    for text in {trigger.stage for trigger in source.heal.dp}:
        resolved = find_stage(catalog, text) if catalog else None
        ids = next(iter(resolved.texts)) if isinstance(resolved, Resolved) else text
        pipeline, _, status = ids.rpartition("/")
        if status.isdecimal() and (pipeline or int(status) in pipeline_of):
            found[text] = Stage(int(pipeline) if pipeline else pipeline_of[int(status)], int(status))
    return found


def unresolved(source: Source, catalog: Catalog | None) -> bool:
    """Whether a trigger's stage is given by name, and names were never fetched."""
    known = stages(source, catalog)
    return catalog is None and any(each.stage not in known for each in source.heal.dp)


def held_since(relays: Iterable[RelayStanding]) -> datetime | None:
    """When the oldest webhook may have come that lies in some relay's spool; None if all are empty."""
    held = [each.spooled_at or each.seen_at for each in relays if each.spooled is None or each.spooled > 0]
    return min(held, default=None)


def _span(off: SwitchedOff, ahead: timedelta, now: datetime) -> Span:
    return Span(off.since + ahead, (off.until or now) + ahead)
