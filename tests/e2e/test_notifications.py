"""Relays as processes, and a Telegram: what is in a shared PostgreSQL is told once, and a kill tells nothing twice."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.processes import RelayProcess, until
from tests.e2e.sender import post_lead
from tests.e2e.targets import Targets, always, listening, well
from tests.e2e.test_lifecycle import ALL, routes
from tests.notify.fakes import CHAT, TOKEN, FakeTelegram, served
from tests.postgres import Cluster, cluster

WAIT = 60.0  # seconds: what is counted is told after ten, and gathered every ten


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster(durable=True) as made:
        yield made


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    fake = FakeTelegram()
    async with served(fake.answer) as fake.url:
        yield fake


def text(targets: Targets, telegram: FakeTelegram, *, more: str = "") -> str:
    """A routes file with one receiver."""
    receiver = f'- {{to: {{telegram: {{token: "{TOKEN}", chat_id: {CHAT}, api: "{telegram.url}"}}}}{more}}}'
    return f"{routes(targets, dict.fromkeys(targets.behaviour, ALL))}\nnotify:\n  {receiver}\n"


def said(telegram: FakeTelegram, *texts: str) -> bool:
    return all(any(text in line for line in telegram.lines) for text in texts)


async def post_nonsense(relay: RelayProcess) -> None:
    async with aiohttp.ClientSession() as session, session.post(relay.hook, data=b"\xff canary") as answer:
        assert answer.status == 200


@pytest.mark.timeout(240)
async def test_two_relays_tell_once_what_is_in_the_database_and_each_its_own(
    tmp_path: Path, server: Cluster, telegram: FakeTelegram
) -> None:
    store = server.dsn(server.new_database())
    relays = []
    async with listening(bot=always(400), dwh=always(503)) as targets:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            relays.append(RelayProcess(tmp_path / name, text(targets, telegram), store=store))
        try:
            for each in relays:
                await each.start()
            for number in range(10):
                for each in relays:
                    await post_lead(each.hook, f"canary-{number}")
            for each in relays:
                await post_nonsense(each)
            await until(lambda: said(telegram, "are dead: 400", "not readable"), WAIT)
            await until(lambda: sum("dwh: circuit open" in line for line in telegram.lines) == 2, WAIT)
            server.freeze()
            await until(lambda: sum("PostgreSQL away" in line for line in telegram.lines) == 2, WAIT)
            server.thaw()
            await until(lambda: sum("PostgreSQL back again" in line for line in telegram.lines) == 2, WAIT)
        finally:
            for each in relays:
                await each.kill()
    once = [line for line in telegram.lines if "are dead" in line or "is dead" in line or "not readable" in line]
    assert len(once) == 2, telegram.lines
    own = [line.split(": ")[0] for line in telegram.lines if "circuit open" in line]
    assert len(set(own)) == 2, "each says its name"
    assert not any("canary" in line for line in telegram.lines)


@pytest.mark.timeout(180)
async def test_a_relay_that_is_killed_tells_nothing_twice_and_what_it_had_not_sent_afterwards(
    tmp_path: Path, telegram: FakeTelegram
) -> None:
    async with listening(bot=always(400), dwh=always(503)) as targets:
        relay = RelayProcess(tmp_path, text(targets, telegram))
        try:
            await relay.start()
            for number in range(12):
                await post_lead(relay.hook, f"m{number}")
            await until(lambda: said(telegram, "dwh: circuit open", "are dead: 400"), WAIT)
            telegram.down = 502
            await post_nonsense(relay)
            before, calls = list(telegram.lines), telegram.calls
            await until(lambda: telegram.calls > calls, WAIT)
            relay.signal(signal.SIGKILL)
            await relay.ended()
            telegram.down = 0
            await relay.start()
            targets.behaviour["dwh"] = well
            await until(lambda: said(telegram, "not readable", "dwh: back again"), WAIT)
        finally:
            await relay.kill()
        after = telegram.lines[len(before) :]
        assert [line for line in after if "circuit open" in line or "dead" in line] == []
