"""What `accept_losses` promises, held against every store; most of it where acknowledged webhooks can be missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.errors import StoreBusy
from relay.store.contract import Archive
from tests.store.conftest import NOON, Kind, act

COMMAND = "verify --accept-loss"


@pytest.fixture
async def shorter(kind: Kind, tmp_path: Path) -> AsyncIterator[Archive]:
    """A store that lacks two acknowledged webhooks."""
    store = await kind.lose_webhooks(tmp_path, NOON)
    if store is None:
        pytest.skip("a store of this kind loses none")
    yield store
    await store.close()


async def test_where_none_is_missing_none_is_accepted_and_nothing_audited(store: Archive) -> None:
    assert await store.accept_losses(act(command=COMMAND)) == 0
    assert (await store.losses(), await store.audit(limit=9)) == ((), [])
    assert await store.healing.last_loss() is None


async def test_losses_that_were_accepted_are_reported_no_more(shorter: Archive) -> None:
    assert [each.count for each in await shorter.losses()] == [2]
    assert await shorter.accept_losses(act(command=COMMAND)) == 2
    assert (await shorter.losses(), (await shorter.status()).losses) == ((), ())
    assert await shorter.healing.last_loss() is not None, "what seems lost may be delivered, whoever knows of it"
    assert [(each.command, each.count) for each in await shorter.audit(limit=9)] == [(COMMAND, 2)]


async def test_a_second_act_accepts_nothing_and_is_not_audited(shorter: Archive) -> None:
    await shorter.accept_losses(act(1, command=COMMAND))
    assert await shorter.accept_losses(act(2, command=COMMAND)) == 0
    assert [each.id for each in await shorter.audit(limit=9)] == ["act-0001"]


async def test_repeated_after_a_lost_answer_it_is_done_and_audited_once(
    shorter: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.lose_answer(shorter, monkeypatch)
    with pytest.raises(StoreBusy):
        await shorter.accept_losses(act(command=COMMAND))
    await shorter.accept_losses(act(command=COMMAND))
    assert await shorter.losses() == ()
    assert [each.count for each in await shorter.audit(limit=9)] == [2]


async def test_losses_stay_reported_if_the_audit_entry_cannot_be_written(shorter: Archive) -> None:
    with pytest.raises(TypeError):
        await shorter.accept_losses(act(command=COMMAND, unwritable=object()))
    assert [each.count for each in await shorter.losses()] == [2]
    assert await shorter.audit(limit=9) == []
