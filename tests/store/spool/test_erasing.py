"""What the shared store has erased is erased in the spool of each relay, which then confirms it."""

from pathlib import Path

import pytest

from relay.errors import StoreBusy
from relay.model.erasure import Tombstone
from relay.store.records import Filter
from relay.store.requests import KeepRequest
from relay.store.spool import erasing
from relay.store.sqlite.erasure import SqliteErasure
from tests.store.conftest import MINUTE, NOON, act, to
from tests.store.spool.conftest import Relay, direct
from tests.store.test_erasure import FORD, PERSON, ZAPHOD, arrived


def holding(folder: Path) -> list[str]:
    return [each.name for each in folder.glob("spool.db*") if b"Zaphod" in each.read_bytes()]


async def test_a_spool_that_keeps_a_webhook_of_the_person_loses_it_and_confirms(relay: Relay) -> None:
    relay.shared.refused |= {"webhook-0001"}
    relay.shared.refused_bare |= {"webhook-0001"}  # it is set apart, and stays in the spool
    relay.lose_shared()
    await relay.keep(
        *[KeepRequest(*arrived(n, to(), contacts={"add": [each]})) for n, each in ((1, ZAPHOD), (2, FORD))]
    )
    assert holding(relay.folder)
    relay.shared.away = False
    await direct(relay)
    assert relay.store.spool().refused == 1
    entry = act(9, at=NOON + MINUTE, command="forget")
    await relay.shared.erasure.bury([Tombstone(PERSON, "", NOON + MINUTE, entry.id)], entry)
    relay.shared.erasures.append(entry.id)
    await erasing.erase(relay.shared, relay.spool)
    assert relay.shared.confirmed == [entry.id]
    assert holding(relay.folder) == []
    [left] = await relay.spool.erasure.history(0, most=9)
    assert (left.id, [each.erased for each in left.events]) in (("webhook-0001", [True]), ("webhook-0001", []))
    assert await relay.spool.count(Filter(entity_id="778")) == {}


async def test_nothing_is_confirmed_before_it_is_erased(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StoreBusy("the disk is full")

    entry = act(9, at=NOON + MINUTE, command="forget")
    await relay.shared.erasure.bury([Tombstone(PERSON, "", NOON + MINUTE, entry.id)], entry)
    relay.shared.erasures.append(entry.id)
    monkeypatch.setattr(relay.spool, "erasure", SqliteErasure(relay.spool.path, relay.spool._read, _refused, away))
    with pytest.raises(StoreBusy):
        await erasing.erase(relay.shared, relay.spool)
    assert relay.shared.confirmed == []


async def _refused(_run: object) -> None:
    raise StoreBusy("the disk is full")
