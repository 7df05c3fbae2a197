"""What operators ask and do about healing: what was found, a scan by hand, and the approval of what waits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.account.heal.channels import DpChannel, parse
from relay.account.heal.lanes import LANES, LISTS
from relay.account.heal.rounds import held_since, unresolved
from relay.account.heal.scanner import wanted_now, wants_nothing
from relay.account.heal.unhealable import not_healed
from relay.account.needs import taken_types
from relay.amocrm.events import query_values
from relay.errors import ConflictError, NotFoundError
from relay.model import HealMode, Json, Source
from relay.model.heal import APPROVED, HORIZON, HealCount, HealRequest, HealState
from relay.operations.documents.heals import HealCountDocument, NotHealedDocument, SourceHealingDocument
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import OperationsStore
from relay.store.records import AuditEntry, Status

_BEHIND = timedelta(hours=1)  # a list is read with each scan


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What is known of healing one source. `marks`: by lane, up to when the feed was scanned completely.

    `held_since`: nothing later is decided, as a relay's spool may have its webhooks. `behind`: lists beside the feed
    that were not read as far. `blocked_by`: what the first scan waits for, or the next one; empty if nothing is in the
    way. `triggers`: of the digital pipeline, as their webhooks of the last days show them. `waiting`: not approved yet,
    `waiting_until`: when the first of them is given up. `not_healed`: reason -> types that routes take.
    """

    source: str
    mode: HealMode
    marks: Mapping[str, datetime]
    approved_at: datetime | None
    held_since: datetime | None
    behind: Mapping[str, datetime | None]
    blocked_by: str
    waiting: int
    waiting_until: datetime | None
    not_healed: Mapping[str, Sequence[str]]
    counts: Sequence[HealCount]
    triggers: Sequence[DpChannel]


async def report(store: OperationsStore, config: Config, names: Sequence[str] = ()) -> list[SourceReport]:
    """Return a report for each of these sources, or for every one that heals; NotFoundError for an unknown one."""
    for name in names:
        _demand_known(config, name)
    counts = await store.healing.heal_counts()
    healing = [name for name, source in config.sources.items() if source.heal.mode is not HealMode.OFF]
    status = await store.status()
    return [await _report(store, config, name, counts, status) for name in names or healing]


async def _report(
    store: OperationsStore, config: Config, name: str, counts: Sequence[HealCount], status: Status
) -> SourceReport:
    source = config.sources[name]
    marks = await store.healing.heal_marks(name)
    channels = await store.healing.channels(name)
    own = [each for each in counts if each.source == name]
    scanned = {lane: upto for lane, upto in marks.items() if lane in LANES}
    waiting = sum(each.number for each in own if each.state is HealState.WAITING)
    return SourceReport(
        source=name,
        mode=source.heal.mode,
        marks=scanned,
        approved_at=marks.get(APPROVED),
        held_since=held_since(status.relays),
        behind=_behind(scanned, wanted_now(marks)),
        blocked_by=_blocked_by(config, source, marks, living=bool(status.living), has_hooks=bool(channels)),
        waiting=waiting,
        waiting_until=await _waiting_until(store, name) if waiting else None,
        not_healed=not_healed(taken_types(config, name), source.heal, marks),
        counts=own,
        triggers=[trigger for each in channels if (trigger := parse(each))],
    )


def _behind(scanned: Mapping[str, datetime], wanted: Collection[str]) -> dict[str, datetime | None]:
    """Lists that were not read as far as the feed, as one that the account refuses."""
    upto = min((at for lane, at in scanned.items() if lane not in LISTS), default=None)
    read = {name: scanned.get(name) for name, brought in LISTS.items() if not brought.isdisjoint(wanted)}
    return {name: at for name, at in read.items() if upto and (at is None or upto - at > _BEHIND)}


def _blocked_by(config: Config, source: Source, marks: Mapping[str, datetime], *, living: bool, has_hooks: bool) -> str:
    """What the first scan waits for, or the next one, if there is nothing to scan for."""
    if wants_nothing(marks):
        return f"a webhook in the account's list that comes to this source: relay connect {source.name}"
    if not LANES.isdisjoint(marks):
        return ""
    if source.heal.mode is HealMode.OFF:
        return "heal: report in its source"
    if not living:
        return "a relay: none runs"
    if unresolved(source, config.catalogs.get(source.account or "")):
        return f"the names of {source.account}: relay names {source.account}"
    if not has_hooks:
        return "the first webhook of this source: what was before cannot be told apart from what was lost"
    return f"the API of {source.account}, or the relay's next round, one a minute: relay account check {source.account}"


async def _waiting_until(store: OperationsStore, source: str) -> datetime | None:
    """When the oldest event that waits is given up."""
    since = store.clock() - HORIZON
    found = await store.healing.heal_records(source, since=since, states=[HealState.WAITING])
    return found[0].at + HORIZON if found else None


async def approve(store: OperationsStore, config: Config, source: str, act: AuditEntry) -> int:
    """Have the events that wait be healed with the next scan; return how many. NotFoundError for an unknown source."""
    _demand_known(config, source)
    return await store.healing.approve(source, act)


async def request(
    store: OperationsStore, config: Config, source: str, since: datetime, *, dry_run: bool, act: AuditEntry
) -> HealRequest:
    """Ask the relay that heals for a scan of this source from `since` on; the same once more for the same `act`.

    If none runs the next one that starts does it. NotFoundError for an unknown source, ConflictError for one that does
    not heal.
    """
    _demand_known(config, source)
    if config.sources[source].heal.mode is HealMode.OFF:
        raise ConflictError(f"{source} does not heal: write `heal: report` in its source")
    asked = HealRequest(id=act.id, source=source, since=since, dry_run=dry_run, asked_at=act.at)
    await store.healing.request_heal(asked, act)
    return asked


async def requested(store: OperationsStore, id_: str) -> HealRequest:
    """A request of late, with its answer (`account.heal.rounds.answer`) once there is one; or NotFoundError."""
    for answered in (False, True):  # one that is answered between the two is found
        for each in await store.healing.heal_requests(answered=answered):
            if each.id == id_:
                return each
    raise NotFoundError(f"no scan {quoted(id_[:80])} was asked for of late")


def _demand_known(config: Config, source: str) -> None:
    if source not in config.sources:
        raise NotFoundError(f"no source {quoted(source)} {suggestion(source, sorted(config.sources))}")


# ---- documents


def document(shown: SourceReport) -> SourceHealingDocument:
    """What `--json` prints of a report, and the API answers."""
    return SourceHealingDocument(
        source=shown.source,
        mode=shown.mode,
        scanned_upto=dict(sorted(shown.marks.items())),
        approved_at=shown.approved_at,
        held_since=shown.held_since,
        behind=dict(shown.behind),
        waits_for=shown.blocked_by or None,
        waiting=shown.waiting,
        waiting_until=shown.waiting_until,
        not_healed=tuple(NotHealedDocument(types=tuple(each), reason=why) for why, each in shown.not_healed.items()),
        found=tuple(_count(each) for each in shown.counts),
        triggers=tuple(_trigger(each) for each in shown.triggers),
    )


def _count(shown: HealCount) -> HealCountDocument:
    return HealCountDocument(
        action=shown.action,
        state=shown.state,
        exactness=shown.exactness,
        reason=shown.reason,
        number=shown.number,
        newest_at=shown.newest_at,
    )


def _trigger(shown: DpChannel) -> dict[str, Json]:
    """A trigger as `heal.dp` of the routes file has it."""
    found: dict[str, Json] = {
        "stage": f"{shown.stage.pipeline_id}/{shown.stage.status_id}",
        "on": [shown.action],
    }
    return found | ({"query": query_values(shown.query)} if shown.query else {})
