"""Acts that take long, of two relays on one database: each knows those of the other."""

import asyncio
from typing import Any

import pytest

from relay.admin.api import acts as api_acts
from relay.admin.api.acts import Acts
from relay.errors import ConflictError
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import ActState
from relay.store.records import AuditEntry
from tests.store.conftest import NOON
from tests.store.test_postgres_relays import Relay
from tests.store.test_postgres_relays import a as a
from tests.store.test_postgres_relays import b as b
from tests.store.test_postgres_relays import server as server

ONE, OTHER = "019ab100-0000-7000-8000-00000000000a", "019ab100-0000-7000-8000-00000000000b"


class Slow:
    """An act that has done something, and goes on until it may end."""

    def __init__(self, relay: Relay, id_: str) -> None:
        self.acts, self.id = Acts(relay.store), id_
        self._relay = relay
        self._may_end, self._recorded = asyncio.Event(), asyncio.Event()

    async def begin(self) -> None:
        assert await self.acts.done(self.id, self.id, LONG, b"", self._run) is None
        await self._recorded.wait()

    async def end(self) -> None:
        self._may_end.set()
        await self.acts.done(self.id, self.id, LONG, b"", self._run)

    async def _run(self) -> dict[str, int]:
        act = AuditEntry(id=self.id, at=NOON, who="olga", command="replay")
        await self._relay.store.record_audit(act, 7)
        self._recorded.set()
        await self._may_end.wait()
        return {"done": 7}


async def _never(_desk: Desk, _asked: Any) -> Any:
    raise AssertionError


LONG: Operation[Any, Any] = Operation(
    name="replays",
    method="POST",
    path="/replays",
    role=Role.OPERATOR,
    parameters=dict,
    document=dict,
    run=_never,
    summary="Take long.",
    long=True,
)


async def test_each_knows_what_the_other_does_and_has_done(a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one, other = Slow(a, ONE), Slow(b, OTHER)
    await one.begin()
    await other.begin()
    for asked, id_, relay in ((other.acts, ONE, "a"), (one.acts, OTHER, "b")):
        found = await asked.document(id_)
        assert (found.state, found.operation, found.relay, found.count) == (ActState.RUNNING, "replays", relay, 7)
        with pytest.raises(ConflictError, match=f"at the relay {relay}: stop it there"):
            await asked.stop(id_)
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    await one.end()
    await other.end()
    assert (await other.acts.document(ONE)).state is ActState.DONE
    assert (await one.acts.document(OTHER)).state is ActState.DONE


async def test_an_act_is_interrupted_once_its_relay_has_ended(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one = Slow(a, ONE)
    await one.begin()
    await one.acts.close()
    await a.store.close()
    assert (await Acts(b.store).document(ONE)).state is ActState.INTERRUPTED


async def test_an_act_that_was_stopped_is_so_for_other_relays_and_the_next_process(
    a: Relay, b: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    one = Slow(a, ONE)
    await one.begin()
    assert await one.acts.stop(ONE)
    for acts in (one.acts, Acts(a.store), Acts(b.store)):
        found = await acts.document(ONE)
        assert (found.state, found.count) == (ActState.STOPPED, 7)
        assert not await acts.stop(ONE)
    monkeypatch.setattr(api_acts, "PATIENCE", 30.0)
    await one.end()
    assert (await Acts(b.store).document(ONE)).state is ActState.DONE, "it went on under its key"
