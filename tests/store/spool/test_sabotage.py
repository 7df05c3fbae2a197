"""A relay without one of the spool's rules is found guilty, in a history in which the whole one loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from relay.errors import StoreBusy
from relay.store.requests import KeepRequest
from relay.store.spool.intake import Intake
from relay.store.spool.pages import Pages
from relay.store.spool.tail import Tail
from tests.store.spool.conftest import HEDGE, Relay, direct, request
from tests.store.spool.shared import FakeShared

History = Callable[[Relay], Awaitable[Relay]]


async def fail_over(relay: Relay) -> Relay:
    """The server dies, and the standby has not got the newest two."""
    await relay.keep(request(1), request(2), request(3))
    await relay.shared.fail_over(2)
    return relay


async def stall(relay: Relay) -> Relay:
    """The server stands still, and webhooks arrive before, at and after the moment when the first one is late."""
    relay.shared.freeze()
    first = relay.keep(request(1))
    await asyncio.sleep(HEDGE * 0.6)
    second = relay.keep(request(2))
    await first
    third = relay.keep(request(3))
    await asyncio.gather(second, third)
    relay.shared.drop(sent=False)
    relay.shared.thaw()
    return relay


async def death_while_forwarding(relay: Relay) -> Relay:
    """The relay dies while the server commits a page, which is lost."""
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    reached = asyncio.Event()
    forward = relay.shared.forward

    async def hang(_requests: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    relay.shared.forward = hang
    relay.shared.away = False
    await reached.wait()
    after = relay.again()
    relay.shared.forward = forward
    return await after


async def frozen_standby(relay: Relay) -> Relay:
    """Commits that write wait for a standby that stands still; then it takes over, and the relay dies."""
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    await relay.shared.inner.keep(*request(1)[:2])  # by the primary alone, before it was lost
    forward, asked = relay.shared.forward, asyncio.Event()

    async def wait_for_standby(requests: list[KeepRequest]) -> object:
        asked.set()
        if requests[0].webhook is not None:
            raise StoreBusy("the standby does not reply")
        return await forward(requests)

    def wait_for_standby_if_new(requests, on_replies) -> None:
        asked.set()
        known = [[] if each.webhook.id == "webhook-0001" else StoreBusy("the standby") for each in requests]
        asyncio.get_running_loop().call_soon(on_replies, known)

    relay.shared.forward, relay.shared.keep_many = wait_for_standby, wait_for_standby_if_new
    relay.shared.away = False
    await asked.wait()
    await asyncio.sleep(0.05)
    await relay.stop()
    await relay.shared.fail_over(1)
    del relay.shared.forward, relay.shared.keep_many
    return await relay.again()


async def stored_after(history: History, folder: Path) -> list[str]:
    relay = Relay(folder, FakeShared(folder))
    relay.begin()
    await direct(relay)
    relay = await history(relay)
    await direct(relay)
    stored = await relay.shared.stored()
    await relay.stop()
    await relay.shared.close()
    return stored


# ---- sabotages


def no_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tail, "add", lambda self, _request: None)


def hedge_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = Intake.doubt

    def of_the_oldest(self: Intake, why: str) -> None:
        rest = dict(self._under_way)
        if not self.direct or not rest:
            return doubt(self, why)
        oldest = next(iter(rest))
        del rest[oldest]
        for each in rest:
            del self._under_way[each]
        doubt(self, why)
        for each in rest:  # by their own timers
            self._loop.call_at(each.deadline, partial(self._ask_spool, [each]))
        return None

    monkeypatch.setattr(Intake, "doubt", of_the_oldest)


def forget_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    forward_page = Pages.forward_page

    async def forget_first(self: Pages) -> bool:
        page = await self._spool.oldest()
        oldest = self._spool.oldest

        async def read(_most: int) -> object:
            monkeypatch.setattr(self._spool, "oldest", oldest)
            await self._spool.forget([each.seq for each in page.webhooks])
            return page

        monkeypatch.setattr(self._spool, "oldest", read)
        return await forward_page(self)

    monkeypatch.setattr(Pages, "forward_page", forget_first)


def forward_without_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(self: Pages, requests: list[KeepRequest]) -> list[object]:
        if not requests:
            return []
        done = asyncio.get_running_loop().create_future()
        self._shared.keep_many(requests[:1], done.set_result)  # one by one: what is known proves nothing
        [reply] = await done
        if isinstance(reply, Exception):
            raise reply
        seq = (await self._spool.oldest()).webhooks[0].seq
        await self._spool.forget([seq])
        raise StoreBusy("the next one")

    monkeypatch.setattr(Pages, "_forward", keep)


CASES = [
    (fail_over, no_tail, ["webhook-0001"]),
    (stall, hedge_one_by_one, ["webhook-0001", "webhook-0003", "webhook-0002"]),
    (death_while_forwarding, forget_before_commit, []),
    (frozen_standby, forward_without_a_write, ["webhook-0002", "webhook-0003"]),
]


@pytest.mark.parametrize("history", [history for history, _sabotage, _found in CASES])
async def test_nothing_is_lost_or_overtaken(tmp_path: Path, history: History) -> None:
    assert await stored_after(history, tmp_path) == ["webhook-0001", "webhook-0002", "webhook-0003"]


@pytest.mark.parametrize(("history", "sabotage", "found"), CASES)
async def test_a_sabotaged_relay_is_found_guilty(
    tmp_path: Path,
    history: History,
    sabotage: Callable[[pytest.MonkeyPatch], None],
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sabotage(monkeypatch)
    assert await stored_after(history, tmp_path) == found
