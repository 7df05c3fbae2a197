"""Processes that share one OAuth grant, in the double's time: no refresh token is used twice; what a crash may lose."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from relay.model import Account, OAuthGrant, Secret
from relay.operations.accounts import login
from relay.store import open as stores
from relay.store.account_records import AccountRecords
from relay.store.postgres.migrate import scripts
from relay.store.url import parse_store_url
from tests.account.grant_user import CRASHED
from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.server import Server

LIFE = 600
HOURS = float(os.environ.get("RELAY_GRANT_HOURS", "3"))
"""48 when it was last run at length."""


class Sharing:
    """The double, and the processes that use its grant."""

    def __init__(self, server: Server, store: str) -> None:
        self.amo = server.amo
        self.store = store
        found = self.amo.tokens.add_integration()
        self.integration = json.dumps(asdict(found))
        oauth = OAuthGrant(
            client_id=found.client_id, client_secret=Secret(found.client_secret), redirect_uri=found.redirect_uri
        )
        self.account = Account(name="main", host=server.host, oauth=oauth)
        self.records: AccountRecords = stores.account_records(parse_store_url(store))

    async def log_in(self) -> None:
        code = self.amo.tokens.authorize(json.loads(self.integration)["client_id"])
        await login(self.account, self.records, code, clock=lambda: datetime.fromtimestamp(self.amo.clock(), UTC))

    async def start(self, crash: str = "never") -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "tests.account.grant_user", self.account.host, self.integration)
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*command, self.store, crash, stdin=pipe, stdout=pipe)

    async def token(self, process: asyncio.subprocess.Process) -> str:
        """What this process uses now; empty if it has crashed."""
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{self.amo.clock()}\n".encode())
        return (await process.stdout.readline()).decode().strip()

    def is_good(self, token: str) -> bool:
        return self.amo.tokens.user_of(f"Bearer {token}") is not None


@asynccontextmanager
async def sharing(store: str) -> AsyncIterator[Sharing]:
    amo = FakeAmo(3, clock=VirtualClock())
    amo.tokens.access_lives = LIFE
    amo.limiter.most = 10_000
    async with Server(amo).serving() as server:
        made = Sharing(server, store)
        await made.log_in()
        yield made


@asynccontextmanager
async def processes(at: Sharing, number: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    started = [await at.start() for _ in range(number)]
    try:
        yield started
    finally:
        for each in started:
            assert each.stdin
            each.stdin.close()
        await asyncio.gather(*(each.wait() for each in started))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/relay.db"
    dsn: str = request.getfixturevalue("postgres_dsn")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for script in scripts():
            connection.execute(script.sql.encode())
    return dsn


@pytest.mark.timeout(60 + 30 * HOURS)
async def test_no_refresh_token_is_used_twice_by_racing_processes(store: str) -> None:
    async with sharing(store) as at, processes(at, 3) as racing:
        rounds = round(HOURS * 3600 / (LIFE * 0.7))
        for _ in range(rounds):
            at.amo.clock.advance(LIFE * 0.7)
            tokens = await asyncio.gather(*(at.token(each) for each in racing))
            assert all(map(at.is_good, tokens))
        statuses = [status for _generation, status in at.amo.tokens.refreshes]
        assert set(statuses) == {200}
        assert len(statuses) == rounds
        grant = (await at.records.read("main")).grant
        assert grant
        assert grant.generation == len(statuses)


@pytest.mark.parametrize("crash", ["ask", "write"])
async def test_a_crash_before_the_request_or_after_the_write_loses_nothing(store: str, crash: str) -> None:
    async with sharing(store) as at, processes(at, 1) as [other]:
        at.amo.clock.advance(LIFE * 0.7)
        dying = await at.start(crash)
        await at.token(dying)
        assert await dying.wait() == CRASHED
        for _ in range(5):
            assert at.is_good(await at.token(other))
            at.amo.clock.advance(LIFE)
        assert {status for _generation, status in at.amo.tokens.refreshes} == {200}


async def test_a_crash_between_the_answer_and_the_write_leaves_the_old_token_and_a_login(store: str) -> None:
    async with sharing(store) as at, processes(at, 1) as [other]:
        at.amo.clock.advance(LIFE * 0.7)
        dying = await at.start("answer")
        await at.token(dying)
        assert await dying.wait() == CRASHED
        assert at.is_good(await at.token(other))
        at.amo.clock.advance(LIFE * 0.2)
        assert at.is_good(await at.token(other))
        at.amo.clock.advance(LIFE)
        said = await at.token(other)
        assert said.startswith("TokenRefused: ")
        assert said.endswith("grant access with: relay account login main")
        await at.log_in()
        assert at.is_good(await at.token(other))
