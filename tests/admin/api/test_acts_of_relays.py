"""Acts that take long, of two relays on one database: each knows those of the other."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from relay.admin.api import acts as api_acts
from relay.admin.api.acts import Acts, Wanted
from relay.errors import ConflictError
from relay.operations.acts import ACT, ACTS, STOP_ACT, ActsAsked, OneAct
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import ActDocument, ActState
from relay.store.records import AuditEntry
from tests.operations.conftest import no_config
from tests.store.conftest import NOON
from tests.store.test_postgres_relays import Relay
from tests.store.test_postgres_relays import a as a
from tests.store.test_postgres_relays import b as b
from tests.store.test_postgres_relays import server as server

ONE, OTHER = "019ab100-0000-7000-8000-00000000000a", "019ab100-0000-7000-8000-00000000000b"


class Slow:
    """An act that has done something, and goes on until it may end."""

    def __init__(self, relay: Relay, id_: str) -> None:
        self.acts, self.id, self.fails = Acts(relay.store), id_, False
        self.wanted = Wanted(id=id_, key_id=id_, digest=b"", operation=LONG, who="olga")
        self._relay = relay
        self._may_end, self._recorded = asyncio.Event(), asyncio.Event()

    async def begin(self) -> None:
        assert await self.acts.done(self.wanted, self._run) is None
        await self._recorded.wait()

    async def end(self) -> None:
        self._may_end.set()
        await self.acts.done(self.wanted, self._run)

    async def _run(self) -> dict[str, int]:
        act = AuditEntry(id=self.id, at=NOON, who="olga", command="replay")
        await self._relay.store.record_audit(act, 7)
        self._recorded.set()
        await self._may_end.wait()
        if self.fails:
            raise ConflictError("the disk is full")
        return {"done": 7}


async def _never(_desk: Desk, _asked: Any) -> Any:
    raise AssertionError


LONG: Operation[Any, Any] = Operation(
    name="replay",
    method="POST",
    path="/replays",
    role=Role.OPERATOR,
    parameters=dict,
    document=dict,
    run=_never,
    summary="Take long.",
    long=True,
)


def desk(relay: Relay, acts: Acts | None) -> Desk:
    return Desk(relay.store, Asker(name="olga", role=Role.OPERATOR, payloads=True), config=no_config, acts=acts)


async def seen(relay: Relay, id_: str, acts: Acts | None = None) -> ActDocument:
    """As another process of this relay sees it, or a command."""
    return await desk(relay, acts).ask(ACT, OneAct(act=id_))


async def test_each_knows_what_the_other_does_and_has_done(a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one, other = Slow(a, ONE), Slow(b, OTHER)
    await one.begin()
    await other.begin()
    for asked, id_, at in ((desk(b, other.acts), ONE, "a"), (desk(a, one.acts), OTHER, "b")):
        found = await asked.ask(ACT, OneAct(act=id_))
        assert (found.state, found.operation, found.relay, found.count) == (ActState.RUNNING, "replay", at, 7)
        with pytest.raises(ConflictError, match=f"at the relay {at}: stop it there"):
            await asked.ask(STOP_ACT, OneAct(act=id_))
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    await one.end()
    await other.end()
    assert (await seen(b, ONE, other.acts)).state is ActState.DONE
    assert (await seen(a, OTHER, one.acts)).state is ActState.DONE


async def test_an_act_is_interrupted_once_its_relay_has_ended(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one = Slow(a, ONE)
    await one.begin()
    assert (await seen(a, ONE, Acts(a.store))).state is ActState.INTERRUPTED, "for the next process of this relay"
    await one.acts.close()
    await a.store.close()
    assert (await seen(b, ONE, Acts(b.store))).state is ActState.INTERRUPTED


async def test_an_act_that_was_stopped_is_so_for_other_relays_and_the_next_process(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one = Slow(a, ONE)
    await one.begin()
    assert await one.acts.stop(ONE)
    for relay, acts in ((a, one.acts), (a, Acts(a.store)), (b, Acts(b.store))):
        found = await seen(relay, ONE, acts)
        assert (found.state, found.count) == (ActState.STOPPED, 7)
        assert await desk(relay, acts).ask(STOP_ACT, OneAct(act=ONE)) == found
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    await one.end()
    assert (await seen(b, ONE, Acts(b.store))).state is ActState.DONE, "it went on under its key"


async def test_an_act_that_failed_after_its_entry_in_the_audit_has_failed_for_other_relays_too(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one = Slow(a, ONE)
    await one.begin()
    one.fails = True
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    with pytest.raises(ConflictError):
        await one.end()
    for relay, acts in ((b, Acts(b.store)), (a, Acts(a.store)), (b, None)):
        found = await seen(relay, ONE, acts)
        assert (found.state, found.count, found.problem["detail"]) == (ActState.FAILED, 7, "the disk is full")


async def test_the_acts_of_all_relays_are_listed_newest_first(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one, other = Slow(a, ONE), Slow(b, OTHER)
    await one.begin()
    await other.begin()
    assert await one.acts.stop(ONE)
    listed = (await desk(b, None).ask(ACTS, ActsAsked())).data
    assert [(each.act, each.state, each.who, each.count) for each in listed] == [
        (OTHER, ActState.RUNNING, "olga", 7),
        (ONE, ActState.STOPPED, "olga", 7),
    ]
    running = await desk(a, one.acts).ask(ACTS, ActsAsked(state=(ActState.RUNNING,)))
    assert [each.act for each in running.data] == [OTHER]
    cut = await desk(a, one.acts).ask(ACTS, ActsAsked(limit=1))
    assert ([each.act for each in cut.data], cut.notes) == ([OTHER], ("1 more: take a larger limit",))


async def test_the_oldest_acts_that_ended_make_room(a: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    monkeypatch.setattr(api_acts, "MAX_PUBLISHED", 2)
    slow = Slow(a, ONE)
    await slow.begin()
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    for number in (1, 2, 3):
        await slow.acts.done(replace(slow.wanted, id=f"{number}", key_id=f"{number}"), _at_once)
    listed = (await desk(a, None).ask(ACTS, ActsAsked())).data
    assert [(each.act, each.state) for each in listed] == [("3", ActState.DONE), (ONE, ActState.RUNNING)]
    await slow.end()


async def _at_once() -> dict[str, int]:
    return {"done": 1}
