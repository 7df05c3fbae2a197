"""One relay on PostgreSQL, and PostgreSQL away: at the start, at the stop, and in between."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from tests.e2e.history import judge
from tests.e2e.processes import RelayProcess, run, until
from tests.e2e.sender import Load, post_lead
from tests.e2e.targets import Targets, hanging, listening, slow, well
from tests.e2e.test_lifecycle import ALL, STOP_WITHIN, routes
from tests.postgres import Cluster, cluster


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """Durable: the relay refuses another."""
    with cluster(durable=True) as made:
        yield made


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    server.thaw()
    if not server.processes():
        server.start()
    yield server.new_database()
    server.thaw()


@asynccontextmanager
async def relay_of(folder: Path, targets: Targets, store: str, *, patience: str = "10s") -> AsyncIterator[RelayProcess]:
    """Not started yet."""
    relay = RelayProcess(folder, routes(targets, dict.fromkeys(targets.behaviour, ALL), patience=patience), store=store)
    try:
        yield relay
    finally:
        await relay.kill()


async def answer(relay: RelayProcess, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(relay.admin + path) as response:
        return response.status, await response.text()


async def ready(relay: RelayProcess) -> bool:
    return await answer(relay, "/readyz") == (200, "ready\n")


@pytest.mark.parametrize(("wrong", "reason"), [("password", "password authentication failed"), ("database", "exist")])
async def test_a_start_that_postgresql_refuses_warns_at_once_with_the_reason(
    tmp_path: Path, server: Cluster, database: str, wrong: str, reason: str
) -> None:
    dsn = server.dsn(database)
    dsn = dsn.replace(server.password, "hunter2") if wrong == "password" else dsn.replace(database, "nowhere")
    async with listening(bot=well) as targets, relay_of(tmp_path, targets, dsn) as relay:
        await relay.start()
        [said] = await relay.said("spooling")
        assert (said["level"], reason in said["why"], "hunter2" in said["why"]) == ("warning", True, False)
        for path, status in (("/readyz", 200), ("/readyz/store", 503)):
            answered = await answer(relay, path)
            assert (answered[0], reason in answered[1], "hunter2" in answered[1]) == (status, True, False), answered
        await post_lead(relay.hook, "m1")
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        [left] = await relay.said("webhooks stay in the spool: start the relay again, or `relay spool drain` the file")
        assert (left["level"], left["webhooks"], Path(left["file"]).name) == ("warning", 1, "spool.db")


async def test_a_relay_that_starts_without_postgresql_spools_says_so_and_delivers_later(
    tmp_path: Path, server: Cluster, database: str
) -> None:
    await asyncio.to_thread(server.stop)
    async with listening(bot=well) as targets, relay_of(tmp_path, targets, server.dsn(database)) as relay:
        await relay.start()
        for marker in ("m1", "m2", "m3"):
            await post_lead(relay.hook, marker)
        status, text = await answer(relay, "/readyz")
        assert (status, text.startswith("ready; spooling since ")) == (200, True)
        assert " (3 webhooks): " in text
        status, text = await answer(relay, "/readyz/store")
        assert (status, text.startswith("spooling since ")) == (503, True)
        assert await relay.metric("relay_spool_webhooks") == 3
        assert await relay.metric("relay_intake_direct") == 0
        assert targets.received == []
        await asyncio.to_thread(server.start)
        await until(lambda: sorted(targets.accepted("bot")) == ["m1", "m2", "m3"])
        await until(lambda: ready(relay))
        assert await answer(relay, "/readyz/store") == (200, "ready\n")
        await relay.drained()
        assert [await relay.metric(name) for name in ("relay_spool_webhooks", "relay_intake_direct")] == [0, 1]
        await until(lambda: seen(relay, "relay_relays"))
        await until(lambda: seen(relay, "relay_configs"))
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert server.password not in relay.log.read_text()


async def seen(relay: RelayProcess, name: str) -> bool:
    return await relay.metric(name) == 1


async def test_a_transaction_that_keeps_postgresql_from_vacuuming_is_measured(
    tmp_path: Path, server: Cluster, database: str
) -> None:
    async def grows() -> bool:
        return await relay.metric("relay_store_oldest_snapshot_seconds") > 0.5

    with server.admin(database) as foreign:
        foreign.execute("begin isolation level repeatable read")
        foreign.execute("select count(*) from pg_class")
        async with listening(bot=well) as targets, relay_of(tmp_path, targets, server.dsn(database)) as relay:
            await relay.start()
            await until(grows)


@pytest.mark.parametrize("away", ["frozen", "gone"])
async def test_sigterm_while_postgresql_is_away_ends_in_time_and_nothing_is_lost(
    tmp_path: Path, server: Cluster, database: str, away: str
) -> None:
    async with (
        listening(stuck=hanging, slow=slow(0.5)) as targets,
        relay_of(tmp_path, targets, server.dsn(database), patience="60s") as relay,
    ):
        await relay.start()
        await until(lambda: ready(relay))
        await post_lead(relay.hook, "m1")
        await until(lambda: len(targets.received) == 2)
        await asyncio.to_thread(server.freeze if away == "frozen" else server.stop)
        await post_lead(relay.hook, "m2")
        asked = monotonic()
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert monotonic() - asked < STOP_WITHIN
        if away == "frozen":
            server.thaw()
        else:
            await asyncio.to_thread(server.start)
        targets.behaviour["stuck"] = well
        await relay.start()
        await relay.drained()
        assert set(targets.accepted("stuck")) == {"m1", "m2"} == set(targets.accepted("slow"))


async def test_a_server_that_may_lose_commits_is_refused_at_the_start(
    tmp_path: Path, server: Cluster, database: str
) -> None:
    await asyncio.to_thread(server.configure, fsync="off")
    try:
        async with listening(bot=well) as targets, relay_of(tmp_path, targets, server.dsn(database)) as relay:
            code, _printed, complaint = await run(*relay.arguments)
    finally:
        await asyncio.to_thread(server.configure, fsync="on")
    assert code == 1
    assert "PostgreSQL may lose what it has committed: fsync=off" in complaint
    assert server.password not in complaint


async def test_sigterm_while_every_host_is_silent_ends_in_time(tmp_path: Path) -> None:
    """They accept connections and say nothing, as behind a firewall that drops: libpq waits 2 s for each."""
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)  # the kernel accepts, and nobody else
    host = f"127.0.0.1:{silent.getsockname()[1]}"
    store = f"postgresql://relay@{','.join([host] * 6)}/relay"
    async with listening(bot=well) as targets, relay_of(tmp_path, targets, store) as relay:
        await relay.start()
        await post_lead(relay.hook, "m1")
        await relay.said("ready")  # from here on it connects again and again
        asked = monotonic()
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert monotonic() - asked < STOP_WITHIN
    silent.close()


async def test_sigterm_before_a_relay_is_ready_is_a_stop(tmp_path: Path) -> None:
    """It accepts webhooks by then, and waits for PostgreSQL to say what is paused."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # the kernel accepts, and nobody else
        store = f"postgresql://relay@127.0.0.1:{silent.getsockname()[1]}/relay"
        for start in range(STARTS):
            (folder := tmp_path / str(start)).mkdir()
            if await _stopped_before_ready(folder, store):
                return
    pytest.fail("each relay was ready before it could be stopped")


STARTS = 10
"""It waits for some tenths of a second: on a busy machine this process may look too late."""


async def _stopped_before_ready(folder: Path, store: str) -> bool:
    async with listening(bot=well) as targets, relay_of(folder, targets, store) as relay:
        await relay.start()
        if relay.lines("ready"):
            return False
        await post_lead(relay.hook, "m1")
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert (
            len(relay.lines("webhooks stay in the spool: start the relay again, or `relay spool drain` the file")) == 1
        )
        assert relay.lines("stopped")
        return True


async def test_two_relays_divide_a_target_between_them_and_say_the_same_of_the_store(
    tmp_path: Path, server: Cluster, database: str
) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    async with (
        listening(bot=slow(0.05)) as targets,
        relay_of(folders[0], targets, server.dsn(database)) as a,
        relay_of(folders[1], targets, server.dsn(database)) as b,
    ):
        await a.start()
        await b.start()
        for relay in (a, b):
            await until(lambda relay=relay: relay_sees(relay, relay_relays=2, relay_configs=1))
        load = Load(url=a.hook, stages={1: frozenset({"bot"})}, per_second=100)
        async with load.flowing():
            await until(lambda: load.acknowledged >= 200)
        await a.drained()
        assert targets.busiest["bot"] <= 4, "the concurrency of the target, whoever delivers"
        assert not (findings := judge(load.sent, targets.received)).lost, findings
        assert a.lines("attempt"), "both deliver"
        assert b.lines("attempt"), "both deliver"
        b.routes.write_text(b.routes.read_text().replace("to-bot", "to-the-bot"))
        for relay in (a, b):
            await until(lambda relay=relay: relay_sees(relay, relay_relays=2, relay_configs=2))
        b.signal(signal.SIGTERM)
        assert await b.ended() == 0
        await until(lambda: relay_sees(a, relay_relays=1, relay_configs=1, relay_stranded_webhooks=0))


async def relay_sees(relay: RelayProcess, **gauges: float) -> bool:
    return {name: await relay.metric(name) for name in gauges} == gauges


class Careless(RelayProcess):
    @property
    def arguments(self) -> list[str]:
        """With the flag for a server that may lose commits."""
        return [*super().arguments, "--insecure-durability"]


async def test_a_server_without_fsync_is_used_only_if_the_start_says_so_and_each_start_warns(tmp_path: Path) -> None:
    with cluster() as server:
        dsn = server.dsn(server.new_database())
        async with listening(bot=well) as targets, relay_of(tmp_path, targets, dsn) as relay:
            code, _, complaint = await run(*relay.arguments)
            assert (code, "may lose what it has committed: fsync=off, full_page_writes=off" in complaint) == (1, True)
            careless = Careless(tmp_path, relay.routes.read_text(), store=dsn)
            for times in (1, 2):
                await careless.start()
                [*_, said] = await careless.said("the store may not last", times=times)
                assert (said["level"], "by --insecure-durability" in said["detail"]) == ("warning", True)
                await until(lambda: ready(careless))
                await post_lead(careless.hook, f"m{times}")
                careless.signal(signal.SIGTERM)
                assert await careless.ended() == 0
