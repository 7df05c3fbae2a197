"""A standby that was behind takes over: it has claims whose settlements it never saw, and their owner lives."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from relay.errors import StoreBusy
from relay.model import Delivered, Delivery
from relay.store.postgres.store import PostgresStore
from tests.postgres import Cluster, cluster
from tests.store.conftest import MINUTE, OK, routed, to, webhook


class Servers(NamedTuple):
    first: Cluster
    second: Cluster
    dsn: str

    def lose_the_first(self) -> None:
        """With all that the second one has not received."""
        self.first.stop("immediate")
        self.second.promote()


class Relay:
    """The one that has made all claims."""

    def __init__(self, dsn: str) -> None:
        self.disowned = 0
        self.store = PostgresStore(dsn, name="a", emit=lambda _signal: None, disowned=self._disowned, durable=False)

    def _disowned(self) -> None:
        self.disowned += 1

    async def claim(self) -> list[Delivery]:
        now = self.store.clock()
        return await self.store.claim("bot", limit=10, max_bytes=1_000_000, now=now, lease=10 * MINUTE)

    async def live(self) -> None:
        """Beat, until a server has replied: a connection to the one before is found dead at its first use."""
        assert self.store._membership
        for _ in range(100):
            try:
                await self.store.ready()
                return await self.store._membership.beat()
            except StoreBusy:
                await asyncio.sleep(0.05)
        pytest.fail("no server has replied")

    async def refusal(self) -> str:
        """Why it is not ready, though a server has replied; its first connections may be to the one before."""
        for _ in range(20):
            try:
                await self.store.ready()
            except StoreBusy as error:
                if "away" not in str(error):
                    return str(error)
        return ""


@pytest.fixture
def servers() -> Iterator[Servers]:
    with cluster() as first:
        second = first.standby()
        yield Servers(first, second, first.dsn(first.new_database(), others=(second,)))


@pytest.fixture
async def relay(servers: Servers) -> AsyncIterator[Relay]:
    made = Relay(servers.dsn)
    await made.store.ready()
    yield made
    await made.store.close()


async def test_claims_whose_settlement_a_standby_never_saw_are_due_again_at_once(
    servers: Servers, relay: Relay
) -> None:
    now = datetime.now(UTC)
    await relay.store.keep(webhook(), [routed(1, to(key="leads/7"))])
    [held] = await relay.claim()
    servers.second.catch_up(servers.first)
    servers.second.detach()
    assert await relay.store.settle(held, OK, Delivered(), now=now)
    servers.lose_the_first()
    await relay.live()
    assert relay.disowned == 1, "what it holds is another's"
    assert not relay.store.registered, "in between nothing is claimed"
    assert "attempts that were under way end" in await relay.refusal()
    await relay.live()
    assert relay.store.registered
    assert [(each.event_id, each.attempt) for each in await relay.claim()] == [("event-0001", 2)]


async def test_a_server_that_was_restarted_is_the_same(servers: Servers, relay: Relay) -> None:
    await relay.live()
    servers.first.restart("immediate")
    await relay.live()
    await relay.live()
    assert relay.disowned == 0
