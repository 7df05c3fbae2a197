"""`relay.operations.pause`: a target's name -> no more attempts, or attempts again; both in the audit."""

import pytest

from relay.errors import ConflictError, NotFoundError
from relay.operations.pause import pause, resume
from relay.store.contract import Archive
from tests.cli.conftest import MINUTE, NOON
from tests.operations.conftest import BY, last

TARGETS = {"warehouse", "sales-bot"}


async def test_who_pauses_a_target_is_in_its_status_and_in_the_audit(store: Archive) -> None:
    assert await pause(store, "warehouse", reason="upgrade", routed=TARGETS, by=BY, now=NOON)
    paused = (await store.status()).targets["warehouse"].pause
    assert paused
    assert (paused.at, paused.who, paused.reason) == (NOON, BY, "upgrade")
    entry = await last(store)
    assert (entry.command, entry.who, entry.at, entry.count) == ("pause", BY, NOON, 1)
    assert entry.details == {"target": "warehouse", "reason": "upgrade"}


async def test_paused_twice_is_one_act(store: Archive) -> None:
    assert await pause(store, "warehouse", routed=TARGETS, by=BY, now=NOON)
    assert not await pause(store, "warehouse", routed=TARGETS, by="ann@host", now=NOON + MINUTE)
    assert [entry.who for entry in await store.audit(limit=9)] == [BY]


async def test_a_mistyped_name_pauses_nothing(store: Archive) -> None:
    with pytest.raises(NotFoundError, match=r"no target 'warehuose' \(did you mean 'warehouse'\?\)"):
        await pause(store, "warehuose", routed=TARGETS, by=BY, now=NOON)
    assert await store.audit(limit=9) == []


async def test_pause_and_resume_refuse_a_mistyped_name_in_the_same_words(store: Archive) -> None:
    said = []
    for act in (pause, resume):
        with pytest.raises(NotFoundError) as refused:
            await act(store, "warehuose", routed=TARGETS, by=BY, now=NOON)
        said.append(str(refused.value))
    assert said[0] == said[1]


async def test_a_paused_target_that_nothing_names_any_more_can_be_resumed(store: Archive) -> None:
    await pause(store, "old-bot", routed={"old-bot"}, by=BY, now=NOON)
    await resume(store, "old-bot", routed=(), by=BY, now=NOON)


async def test_a_target_that_only_the_store_knows_can_be_paused(store: Archive) -> None:
    assert await pause(store, "warehouse", routed=(), by=BY, now=NOON)


async def test_resuming_is_an_act_of_whoever_does_it(store: Archive) -> None:
    await pause(store, "warehouse", routed=TARGETS, by=BY, now=NOON)
    await resume(store, "warehouse", routed=TARGETS, by="ann@host", now=NOON + MINUTE)
    assert (await store.status()).targets["warehouse"].pause is None
    entry = await last(store)
    assert (entry.command, entry.who, entry.details) == ("resume", "ann@host", {"target": "warehouse"})


async def test_what_is_not_paused_cannot_be_resumed(store: Archive) -> None:
    with pytest.raises(ConflictError, match="warehouse is not paused"):
        await resume(store, "warehouse", routed=TARGETS, by=BY, now=NOON)
    assert await store.audit(limit=9) == []
