"""Schedules of healing on the stores: what they decide while webhooks are kept is what the healer counts on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.model.heal import HealRecord, HealState, Span, StoredHook
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from relay.store.requests import KeepRequest
from tests.account.heal.schedule import play
from tests.account.heal.test_properties import assert_fresh, assert_told
from tests.account.heal.world import World
from tests.account.memory_store import Crashed, MemoryStore
from tests.store.conftest import NOON, Kind

SEEDS = range(2)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class RealStore(MemoryStore):
    """A store of the relay, as the world has it: what is kept is remembered, and committed before the next question."""

    def __init__(self, store: Archive) -> None:
        super().__init__()
        self._store = store
        self._waiting: list[KeepRequest] = []
        self._sent: set[str | None] = set()
        self._approvals = 0

    def keep(self, request: KeepRequest) -> None:
        self._waiting.append(request)

    async def flush(self) -> None:
        """Keep what came meanwhile, in its order."""
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            webhook, routed, now, windows, hooks = request
            await self._store.keep(webhook, routed, now=now, window=windows.window, dated=windows.dated, hooks=hooks)
            late = await self._late(webhook.id)
            for item, each in enumerate(routed):
                (self.late if item in late else self.kept).append(each)

    async def _late(self, webhook: str) -> set[int]:
        found = await self.heal_records("crm", since=LONG_AGO)
        return {each.item for each in found if each.state is HealState.LATE_HOOK and each.webhook == webhook}

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        await self.flush()
        return await self._store.healing.heal_marks(source)

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        found = await self._store.healing.heal_records(source, since=since, states=states)
        self.known |= {(each.channel, each.event_id): each for each in found}
        return found

    async def hooks(
        self, source: str, *, since: datetime, until: datetime, keys: Collection[tuple[str, str]] | None = None
    ) -> Sequence[StoredHook]:
        await self.flush()
        return await self._store.healing.hooks(source, since=since, until=until, keys=keys)

    async def records_of_webhook_type(self, source: str, webhook_type: str) -> Sequence[HealRecord]:
        return await self._store.healing.records_of_webhook_type(source, webhook_type)

    async def request_ids(self, webhooks: Collection[str]) -> Mapping[str, str]:
        return await self._store.healing.request_ids(webhooks)

    async def last_loss(self) -> datetime | None:
        return await self._store.healing.last_loss()

    async def first_hook(self, source: str) -> datetime | None:
        await self.flush()
        return await self._store.healing.first_hook(source)

    async def record_heal(
        self,
        source: str,
        records: Sequence[HealRecord],
        *,
        healed: Sequence[KeepRequest] = (),
        marks: Mapping[str, datetime] | None = None,
        repeats: Collection[StoredHook] = (),
    ) -> Sequence[HealRecord]:
        self.commits += 1
        if self.commits == self.crash_at:
            raise Crashed
        await self.flush()
        stored = await self._store.healing.record_heal(source, records, healed=healed, marks=marks, repeats=repeats)
        new = {each.webhook for each in stored if each.state is HealState.HEALED} - self._sent
        self._sent |= new
        self.healed += [routed for each in healed if each.webhook.id in new for routed in each.routed]
        return stored

    async def approve(self, source: str, act: AuditEntry | None = None, *, at: datetime | None = None) -> int:
        self._approvals += 1
        made = AuditEntry(id=f"approval {self._approvals}", at=at or NOON, who="test", command="heal approve")
        return await self._store.healing.approve(source, made)

    async def outages(self, since: datetime) -> Sequence[Span]:
        return [each for each in self.down if each.until > since]


@pytest.mark.timeout(120)
async def test_what_holds_in_memory_holds_on_the_stores(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healed = 0
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        store = kind.open_store(folder, NOON)
        monkeypatch.setattr("tests.account.heal.world.MemoryStore", lambda store=store: RealStore(store))
        world: World = await play(seed)
        assert_told(world)
        assert_fresh(world)
        healed += len(world.healed())
        await store.close()
    assert healed > 0
