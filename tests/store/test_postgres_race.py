"""Relays that claim, settle, release, die, wake up and lose answers in any order: nothing is lost, none overtaken."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import StoreBusy
from relay.model import Dead, Delivered, Delivery, RetryAt
from relay.store.postgres.beats import DEAD, EVERY
from relay.store.postgres.store import PostgresStore
from tests.postgres import Cluster
from tests.store import kind_postgres
from tests.store.conftest import MINUTE, NOON, OK, REFUSED, routed, to, webhook
from tests.store.kind_postgres import beat

T = TypeVar("T")

KEYS = ("leads/7", "leads/8", None)
TWO_DUE = """
select 1 from deliveries where state = 'pending' and key is not null and due_at is not null group by key
having count(*) > 1
"""
STRANDED = """
select d.event from deliveries d where d.state = 'pending' and d.due_at is null and not exists (
  select from deliveries o where o.key = d.key and o.event < d.event and o.state = 'pending')
"""
OVERTAKEN = """
select d.event from deliveries d join deliveries o on o.key = d.key and o.event > d.event
where d.state = 'pending' and (o.state <> 'pending' or o.claim is not null)
"""
HELD = "select claim >> 40, claim from deliveries where state = 'pending' and claim is not null"
LIVING = "select incarnation from relays where gone_at is null"

steps = st.lists(
    st.tuples(
        st.sampled_from(("keep", "claim", "settle", "retry", "release", "freeze", "beat", "lose", "together")),
        st.integers(0, 1),
        st.integers(0, 5),
    ),
    min_size=5,
    max_size=40,
)


async def repeated(store: PostgresStore, call: Callable[[], Awaitable[T]]) -> T:
    """As the callers of a store do: until it is not busy."""
    for _ in range(5):
        with suppress(StoreBusy):
            return await call()
        await beat(store)
    return await call()


class Relay:
    """One of them. `held`: what it believes to hold."""

    def __init__(self, folder: Path, name: str) -> None:
        self.steady = 0.0
        self.held: list[Delivery] = []
        self.store: PostgresStore = kind_postgres.open_store(
            folder, NOON, name=name, steady=lambda: self.steady, disowned=self.held.clear
        )

    async def claim(self, most: int) -> None:
        with suppress(StoreBusy):
            self.held += await self.store.claim("bot", limit=most, max_bytes=10_000, now=NOON, lease=60 * MINUTE)

    async def settle(self, position: int, verdict: Delivered | Dead | RetryAt) -> list[int]:
        """Which events it was the last to settle for good."""
        if not self.held:
            return []
        each = self.held.pop(position % len(self.held))
        outcome = REFUSED if isinstance(verdict, RetryAt) else OK
        ours = await repeated(self.store, lambda: self.store.settle(each, outcome, verdict, now=NOON))
        return [each.row] if ours and not isinstance(verdict, RetryAt) else []


class Scene:
    """Two relays on one database, and what became of every delivery."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.relays = [Relay(folder, name) for name in "ab"]
        self.numbers = count(1)
        self.kept = 0
        self.settled: list[int] = []
        self.watch = psycopg.connect(kind_postgres.dsn(folder), autocommit=True)

    async def step(self, verb: str, who: int, number: int) -> None:
        relay, other = self.relays[who], self.relays[1 - who]
        match verb:
            case "keep":
                await self.keep(relay, number)
            case "claim":
                await relay.claim(1 + number)
            case "settle":
                self.settled += await relay.settle(number, Delivered() if number % 2 else Dead("no"))
            case "retry":
                await relay.settle(number, RetryAt(NOON))
            case "release":
                released, relay.held = relay.held[:number], relay.held[number:]
                await repeated(relay.store, lambda: relay.store.release(released, now=NOON))
            case "freeze":  # the other one declares it dead
                for _ in range(int(DEAD / EVERY) + 2):
                    other.steady += EVERY
                    await beat(other.store)
            case "beat":
                relay.steady += EVERY
                await beat(relay.store)
            case "lose":
                kind_postgres.lose_answer(relay.store, self.monkeypatch)
                await relay.claim(1 + number)
                self.monkeypatch.undo()  # of a relay that is not registered, which did not ask
            case "together":
                calls: list[Any] = [relay.settle(number, Delivered()), other.settle(number, Delivered())]
                calls += [self.keep(relay, number), self.keep(other, number), relay.claim(2), other.claim(2)]
                found = await asyncio.gather(*calls)
                self.settled += found[0] + found[1]

    async def keep(self, relay: Relay, number: int) -> None:
        n = next(self.numbers)
        planned = to(lease=60 * MINUTE if number % 2 else None, key=KEYS[number % 3])
        one = replace(webhook(n), body=b"leads[add][0][id]=%d" % n)
        kept = await repeated(relay.store, lambda: relay.store.keep(one, [routed(n, planned)]))
        relay.held += [each for each in kept if isinstance(each, Delivery)]
        self.kept += 1

    def rows(self, sql: str) -> list[tuple[int, ...]]:
        return self.watch.execute(sql.encode()).fetchall()

    def check(self) -> None:
        assert self.rows(TWO_DUE) == [], "two of a key are due"
        assert self.rows(STRANDED) == [], "the oldest of its key, and not due"
        assert self.rows(OVERTAKEN) == [], "a younger one of its key was claimed or settled"
        claims = [claim for _owner, claim in self.rows(HELD)]
        assert len(claims) == len(set(claims)), "one token, two deliveries"
        assert len(self.settled) == len(set(self.settled)), "settled twice"

    async def end(self) -> None:
        """All of them beat: every claim has an owner that lives and knows of it; then everything is delivered."""
        for _ in range(3):
            for each in self.relays:
                each.steady += EVERY
                await beat(each.store)
        living = {incarnation for (incarnation,) in self.rows(LIVING)}
        known = {each.token for relay in self.relays for each in relay.held}
        held = self.rows(HELD)
        assert {owner for owner, _claim in held} <= living, "a claim of nobody"
        assert {claim for _owner, claim in held} <= known, "a claim that nobody was given"
        for _ in range(self.kept + 1):
            for each in self.relays:
                await each.claim(10)
                while each.held:
                    self.settled += await each.settle(0, Delivered())
        self.check()
        assert len(self.settled) == self.kept, "not all were delivered"


@pytest.fixture
def folders(tmp_path: Path, postgres: Cluster) -> Iterator[Path]:
    kind_postgres.servers.append(postgres)
    return (tmp_path / str(number) for number in count())


@given(steps=steps)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_whatever_relays_do_each_delivery_is_settled_once_and_in_order(
    steps: list[tuple[str, int, int]], folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = next(folders)
    scene = Scene(folder, monkeypatch)
    for each in scene.relays:
        await each.store.ready()
    try:
        for step in steps:
            await scene.step(*step)
            scene.check()
        await scene.end()
    finally:
        scene.watch.close()
        for each in scene.relays:
            await each.store.close()
