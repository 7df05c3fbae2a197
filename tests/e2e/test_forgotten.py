"""`relay forget --now` on PostgreSQL, killed in its midst by the system, is repeated and leaves no live row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from relay.store.postgres.erasure import REWRITTEN
from relay.store.postgres.store import PostgresStore
from relay.store.requests import KeepRequest
from tests.bench.forgetting import left_in
from tests.e2e.processes import RELAY, run, until, variables
from tests.store.conftest import to
from tests.store.test_erasure import FORD, PERSON, ZAPHOD, arrived

WEBHOOKS = 400  # 20 transactions, with pauses between them
FORGET = ("forget", f"--entity={PERSON.entity}", f"--id={PERSON.id}", "--now")
ERASED = b"select count(*) from events where erased_at is not null"
REWRITING = f"select 1 from pg_stat_activity where query = 'vacuum full {REWRITTEN[-1]}' and state = 'active'".encode()

pytestmark = pytest.mark.timeout(240)  # it starts four commands


@pytest.fixture
async def url(postgres_dsn: str) -> str:
    """A database with the person in every second webhook."""
    store = PostgresStore(postgres_dsn, name="fill", emit=lambda _signal: None, durable=False)
    await store.ready()
    kept = asyncio.get_running_loop().create_future()
    people = (ZAPHOD, FORD)
    store.keep_many(
        [KeepRequest(*arrived(n, to(), contacts={"add": [people[n % 2]]})) for n in range(2 * WEBHOOKS)],
        kept.set_result,
    )
    assert not any(isinstance(each, Exception) for each in await kept)
    await store.close()
    return postgres_dsn


@asynccontextmanager
async def forgetting(url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, which is killed in the end."""
    with (folder / "said").open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *RELAY, *FORGET, f"--store={url}", stdout=said, stderr=said, env=variables()
        )
        try:
            yield process
        finally:
            assert process.returncode is None, "it was to be killed in its midst"
            process.kill()
            await process.wait()


async def test_wherever_the_command_is_killed_a_repeated_one_leaves_no_live_row(url: str, tmp_path: Path) -> None:
    assert left_in(url)
    with psycopg.connect(url, autocommit=True) as seen:
        for erased in (1, WEBHOOKS // 2):
            async with forgetting(url, tmp_path):
                await until(lambda least=erased: seen.execute(ERASED).fetchall()[0][0] >= least)  # type: ignore[misc]
            assert left_in(url), "some of it was left to be erased"
        with psycopg.connect(url) as held:  # the last table is used: the others are rewritten by then
            held.execute(f"lock table {REWRITTEN[-1]} in access share mode".encode())
            async with forgetting(url, tmp_path):
                await until(lambda: seen.execute(REWRITING).fetchall() != [])
        code, _, complaint = await run(*RELAY, *FORGET, f"--store={url}")
        assert code == 0, complaint
        assert left_in(url) == []
        assert seen.execute(ERASED).fetchall() == [(WEBHOOKS,)]
