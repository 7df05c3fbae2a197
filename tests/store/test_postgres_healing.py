"""One relay heals while others keep the webhooks after all: each change is delivered once, whoever comes first."""

import asyncio
from pathlib import Path

import pytest

from relay.model.heal import HealState
from relay.store.postgres import healing, ingest_rows
from relay.store.records import Filter
from tests.postgres import Cluster
from tests.store import kind_postgres
from tests.store.conftest import NOON, routed, to, webhook
from tests.store.healing import healed, healing_webhook, hook
from tests.store.kind_postgres import AtFirstUse

ROUNDS = 60


async def race(folder: Path) -> tuple[list[int], set[HealState]]:
    """How often each change was delivered, and what became of its record."""
    leader, other = kind_postgres.open_store(folder, NOON), kind_postgres.open_store(folder, NOON, name="another")
    await asyncio.gather(leader.probe(), other.probe())
    for number in range(ROUNDS):
        await asyncio.gather(heal(leader, number), keep(other, number))
    found = await leader.find(Filter(), limit=1000)
    records = await leader.healing.heal_records("crm", since=NOON)
    await leader.close()
    await other.close()
    delivered = [0] * ROUNDS
    for each in found:
        delivered[int(each.event_id.removeprefix("event-")) % 1000] += 1
    return delivered, {each.state for each in records}


async def heal(store: AtFirstUse, number: int) -> None:
    record = healed(f"e{number}", number + 1000, key=f"lead {number}")
    await store.healing.record_heal("crm", [record], healed=[healing_webhook(number + 1000)])


async def keep(store: AtFirstUse, number: int) -> None:
    await asyncio.sleep(number % 4 / 1000)
    await store.keep(webhook(number), [routed(number, to())], hooks=[hook(f"lead {number}")])


async def test_a_change_that_is_healed_and_told_at_once_is_delivered_once(tmp_path: Path, postgres: Cluster) -> None:
    kind_postgres.servers.append(postgres)
    delivered, states = await race(tmp_path)
    assert delivered == [1] * ROUNDS
    assert states <= {HealState.MATCHED, HealState.LATE_HOOK}


async def test_without_the_lock_of_the_key_it_is_delivered_twice(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then neither transaction sees the row of the other."""
    kind_postgres.servers.append(postgres)
    numbers = iter(range(100_000))
    for module in (healing, ingest_rows):
        monkeypatch.setattr(module, "hashed_hook", lambda *_what: next(numbers).to_bytes(16, "little"))
    delivered, _states = await race(tmp_path)
    assert 2 in delivered
