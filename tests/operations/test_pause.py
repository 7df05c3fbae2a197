"""`relay.operations.pause`: a target's name -> no more attempts, or attempts again; both in the audit."""

import pytest

from relay.errors import ConflictError, NotAllowed, NotFoundError
from relay.operations.desk import Desk
from relay.operations.documents.targets import PauseDocument
from relay.operations.pause import PAUSE, RESUME, Pause, Resume
from relay.store.contract import Archive
from tests.operations.conftest import ANN, BY, last, no_config


async def test_who_pauses_a_target_is_in_its_status_and_in_the_audit(store: Archive, desk: Desk) -> None:
    done = await desk.ask(PAUSE, Pause(target="warehouse", reason="upgrade"))
    assert done == PauseDocument(target="warehouse", paused=True, changed=True)
    paused = (await store.status()).targets["warehouse"].pause
    assert paused
    assert (paused.who, paused.reason) == (BY, "upgrade")
    entry = await last(store)
    assert (entry.command, entry.who, entry.at, entry.count) == ("pause", BY, paused.at, 1)
    assert entry.details == {"target": "warehouse", "reason": "upgrade"}


async def test_paused_twice_is_one_act(store: Archive, desk: Desk) -> None:
    assert (await desk.ask(PAUSE, Pause(target="warehouse"))).changed
    again = await Desk(store, ANN, config=desk.config).ask(PAUSE, Pause(target="warehouse"))
    assert again == PauseDocument(target="warehouse", paused=True, changed=False)
    assert [entry.who for entry in await store.audit(limit=9)] == [BY]


async def test_a_mistyped_name_pauses_nothing(store: Archive, desk: Desk) -> None:
    with pytest.raises(NotFoundError, match=r"no target 'warehuose' \(did you mean 'warehouse'\?\)"):
        await desk.ask(PAUSE, Pause(target="warehuose"))
    assert await store.audit(limit=9) == []


async def test_pause_and_resume_refuse_a_mistyped_name_in_the_same_words(desk: Desk) -> None:
    said = []
    for operation, asked in ((PAUSE, Pause(target="warehuose")), (RESUME, Resume(target="warehuose"))):
        with pytest.raises(NotFoundError) as refused:
            await desk.ask(operation, asked)
        said.append(str(refused.value))
    assert said[0] == said[1]


async def test_a_paused_target_that_nothing_names_any_more_can_be_resumed(store: Archive, desk: Desk) -> None:
    await store.pause("old-bot", desk.act("pause", {"reason": ""}))
    assert (await desk.ask(RESUME, Resume(target="old-bot"))).changed


async def test_a_target_that_only_the_store_knows_can_be_paused(store: Archive, desk: Desk) -> None:
    without_routes = Desk(store, desk.asker, config=no_config)
    assert (await without_routes.ask(PAUSE, Pause(target="warehouse"))).changed


async def test_resuming_is_an_act_of_whoever_does_it(store: Archive, desk: Desk) -> None:
    await desk.ask(PAUSE, Pause(target="warehouse"))
    await Desk(store, ANN, config=desk.config).ask(RESUME, Resume(target="warehouse"))
    assert (await store.status()).targets["warehouse"].pause is None
    entry = await last(store)
    assert (entry.command, entry.who, entry.details) == ("resume", ANN.name, {"target": "warehouse"})


async def test_what_is_not_paused_cannot_be_resumed(store: Archive, desk: Desk) -> None:
    with pytest.raises(ConflictError, match="warehouse is not paused"):
        await desk.ask(RESUME, Resume(target="warehouse"))
    assert await store.audit(limit=9) == []


async def test_a_viewer_pauses_nothing(store: Archive, viewers_desk: Desk) -> None:
    with pytest.raises(NotAllowed, match="ivan is a viewer: this needs the role operator"):
        await viewers_desk.ask(PAUSE, Pause(target="warehouse"))
    assert await store.audit(limit=9) == []
