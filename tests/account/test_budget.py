"""The API's budget by the double's own count: never more than seven requests in a second, none after a block."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from relay.account.client import AccountClient
from relay.account.limiter import Priority
from relay.account.opening import asking
from relay.errors import AccountError, Blocked
from relay.model import Account, Secret
from relay.store.sqlite.account_files import AccountFiles
from tests.delivery.virtual import run
from tests.fakeamo import FakeAmo, VirtualClock, server
from tests.fakeamo.clock import START
from tests.fakeamo.server import Server

PATHS = ("/api/v4/leads", "/api/v4/events", "/api/v4/users", "/api/v4/account")


class LoopClock(VirtualClock):
    """The time of the loop that runs, which is virtual."""

    def __call__(self) -> float:
        return START + asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def no_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hour of waiting is spent on looking whether one is due."""
    monkeypatch.setattr(server, "TICK", 3600.0)


@asynccontextmanager
async def account(folder: Path, seed: int) -> AsyncIterator[tuple[FakeAmo, AccountClient]]:
    amo = FakeAmo(seed, clock=LoopClock())
    async with Server(amo).serving() as started:
        named = Account(name="main", host=started.host, token=Secret(amo.token))
        records = AccountFiles(folder / "relay.db")
        async with asking(named, records, clock=lambda: datetime.fromtimestamp(amo.clock(), UTC)) as client:
            yield amo, client


async def burst(client: AccountClient, random: Random, number: int) -> list[BaseException]:
    """So many requests at once, of every priority; some are given up. The errors they ended with."""
    calls = [
        asyncio.create_task(client.get(random.choice(PATHS), priority=random.choice([*Priority])))
        for _ in range(number)
    ]
    await asyncio.sleep(random.uniform(0, 5))
    for call in random.sample(calls, number // 10):
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    return [each for each in ended if isinstance(each, BaseException)]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_fails_no_second_has_more_than_seven_requests(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        random = Random(seed)
        async with account(tmp_path, seed) as (amo, client):
            amo.faults.share = 0.2
            for _ in range(3):
                errors = await burst(client, random, 60)
                assert all(isinstance(each, AccountError | asyncio.CancelledError) for each in errors)
                await asyncio.sleep(random.uniform(0, 3))
            assert amo.faults.hit > 10
            assert amo.limiter.requests > 150
            assert amo.limiter.peak <= 7
            assert not amo.limiter.blocked

    run(main())


def test_after_a_block_nothing_arrives_until_it_is_lifted(tmp_path: Path) -> None:
    async def main() -> None:
        async with account(tmp_path, 1) as (amo, client):
            await burst(client, Random(1), 10)
            amo.limiter.blocked = True
            errors = await burst(client, Random(1), 60)
            assert any(isinstance(each, Blocked) for each in errors)
            assert amo.limiter.after_block <= 2  # which were under way together
            seen = amo.limiter.after_block
            for _ in range(20):
                await asyncio.sleep(60)
                with pytest.raises(Blocked):
                    await client.get("/api/v4/account", priority=Priority.TOKEN)
            assert amo.limiter.after_block == seen
            amo.limiter.unblock()
            await client.block.lift()
            assert await client.get("/api/v4/account")

    run(main())
