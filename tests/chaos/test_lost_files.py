"""Files of the store are deleted, moved, cut short or changed: under a relay that runs, and while it is down.

Whatever of it cannot be undone is told: in the log, by a metric, by /readyz and by `relay status`; R7-R10.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.e2e.processes import RELAY, RelayProcess, run, running, until
from tests.e2e.sender import Load, post_lead
from tests.e2e.targets import Targets, always, listening, well
from tests.store.damage import flip_at

ENDS_WITHIN = 15.0
"""Seconds: thrice what is promised, as the machine may have other work. A relay that sees nothing goes on for ever."""

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, retry: {{initial: 50ms, max: 500ms}}}}
targets: {{bot: {{url: "{bot}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: bot}}]
"""


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    async with listening(bot=well) as targets:
        yield targets


def routes(targets: Targets) -> str:
    return ROUTES.format(bot=targets.url("bot"))


# ---- under a relay that runs


def deleted(database: Path) -> None:
    database.unlink()


def all_deleted(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink()


def moved(database: Path) -> None:
    database.rename(database.with_name("moved.db"))


@pytest.mark.parametrize("harm", [deleted, all_deleted, moved])
async def test_a_relay_whose_database_goes_ends_soon_and_does_not_begin_anew(
    tmp_path: Path, targets: Targets, harm: Callable[[Path], None]
) -> None:
    await robbed(tmp_path, targets, harm, RELAY)


async def test_a_relay_that_does_not_look_after_its_files_is_found_guilty(tmp_path: Path, targets: Targets) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await robbed(tmp_path, targets, deleted, sabotaged("sees_no_loss"))
    assert raised.group_contains(TimeoutError), "it goes on"


async def robbed(folder: Path, targets: Targets, harm: Callable[[Path], None], command: Sequence[str]) -> None:
    """It ends in time, says why, and so does the next one."""
    load = Load(url="", stages={1: frozenset({"bot"})}, per_second=200)
    async with running(folder, routes(targets), command=command) as relay:
        load.url = relay.hook
        async with load.flowing():
            await until(lambda: load.acknowledged > 50)
            harm(relay.store)
            async with asyncio.timeout(ENDS_WITHIN):
                assert await relay.ended() == 1
        acknowledged = load.acknowledged
        [fault] = relay.faults()
        assert "was moved, replaced or deleted" in fault["error"]
        code, _, complaint = await run(*relay.arguments)
        assert code == 1
        assert f"{acknowledged} webhooks were kept" in complaint or "relay.db-wal belongs to it" in complaint
        assert load.acknowledged == acknowledged


async def test_a_lost_store_is_made_anew_only_with_init(tmp_path: Path, targets: Targets) -> None:
    async with running(tmp_path, routes(targets)) as relay:
        await post_lead(relay.hook, "before")
        all_deleted(relay.store)
        assert await relay.ended() == 1
    relay = InitialRelay(tmp_path, routes(targets))
    try:
        await relay.start()
        [told] = await relay.said("begun anew: what the store held before is gone")
        assert (told["level"], told["webhooks"]) == ("warning", 1)
        await post_lead(relay.hook, "after")
        await relay.kill()
        code, _, complaint = await run(*relay.arguments)
        assert code == 1
        assert "--init is for one that is gone, leave it out" in complaint
    finally:
        await relay.kill()


class InitialRelay(RelayProcess):
    @property
    def arguments(self) -> list[str]:
        return [*super().arguments, "--init"]


async def test_a_wal_that_is_deleted_costs_a_restart_and_no_webhook(tmp_path: Path, targets: Targets) -> None:
    targets.behaviour["bot"] = always(503)
    async with running(tmp_path, routes(targets)) as relay:
        load = Load(url=relay.hook, stages={1: frozenset({"bot"})}, per_second=200)
        async with load.flowing():
            await until(lambda: load.acknowledged > 50)
            wal_deleted(relay.store)
            assert await relay.ended() == 1
        targets.behaviour["bot"] = well
        await start_again(relay)
        await relay.drained()
        assert not relay.lines("webhooks that were answered 200 are not in the store")
    acknowledged = {each.marker for each in load.sent if each.acknowledged}
    assert acknowledged <= set(targets.accepted("bot"))


# ---- while it is down


def wal_deleted(database: Path) -> None:
    Path(f"{database}-wal").unlink()


def wal_flipped(database: Path) -> None:
    flip_at(Path(f"{database}-wal"), Path(f"{database}-wal").stat().st_size // 2)


def wal_cut_short(database: Path) -> None:
    os.truncate(f"{database}-wal", Path(f"{database}-wal").stat().st_size // 2)


@pytest.mark.parametrize("harm", [wal_deleted, wal_flipped, wal_cut_short])
async def test_missing_acknowledged_webhooks_are_reported_until_accepted(
    tmp_path: Path, targets: Targets, report: Report, harm: Callable[[Path], None]
) -> None:
    async with running(tmp_path, routes(targets)) as relay:
        await shorten(relay, harm)
        [told] = await relay.said("webhooks that were answered 200 are not in the store")
        lost = told["at_most"]
        report(f"{harm.__name__}", f"20 acknowledged in the WAL, at most {lost} told as missing")
        assert told["level"] == "error"
        assert 0 < lost <= 20
        await until(lambda: says(relay, f"at most {lost}"))
        assert await relay.metric("relay_lost_acks_total") == lost
        assert (await relay.command("status"))["webhooks"]["lost"] == lost
        await relay.command("verify", "--accept-loss")
        await until(lambda: says_nothing(relay))
        await relay.kill()
        await start_again(relay)
        assert len(relay.lines("webhooks that were answered 200 are not in the store")) == 1
        assert (await relay.command("verify"))["sound"] is True


async def test_a_relay_that_notes_nothing_is_found_guilty(tmp_path: Path, targets: Targets) -> None:
    async with running(tmp_path, routes(targets), command=sabotaged("sees_no_loss")) as relay:
        await shorten(relay, wal_deleted)
        assert not relay.lines("webhooks that were answered 200 are not in the store")


async def shorten(relay: RelayProcess, harm: Callable[[Path], None]) -> None:
    """Kill it with 20 webhooks in the WAL, harm that, and start it again."""
    for number in range(3):
        await post_lead(relay.hook, f"early-{number}")
    await relay.drained()
    relay.signal(signal.SIGTERM)
    assert await relay.ended() == 0  # its WAL is empty now
    await relay.start()
    for number in range(20):
        await post_lead(relay.hook, f"late-{number}")
    await relay.kill()
    harm(relay.store)
    await start_again(relay)


async def start_again(relay: RelayProcess) -> None:
    """And have all in the log that it says at its start."""
    before = len(relay.lines("ready"))
    await relay.start()
    await relay.said("ready", before + 1)


async def says(relay: RelayProcess, text: str) -> bool:
    return text in await relay.get("/readyz")


async def says_nothing(relay: RelayProcess) -> bool:
    return await relay.metric("relay_lost_acks_total") == 0 and await relay.get("/readyz") == "ready\n"
