"""A full disk, again and again: acknowledged webhooks arrive, deliveries are settled, the rest gets 503."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM
from time import monotonic

import pytest

from relay.errors import ConfigurationError
from relay.store.sqlite.backup import backup
from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SCALE, scaled
from tests.chaos.tmpfs import MEBIBYTE, Tmpfs, mounted
from tests.e2e.history import Findings, judge
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import Load, post_lead
from tests.e2e.targets import Targets, always, listening, well
from tests.store.conftest import open_sqlite

CYCLES = scaled(2)
MEBIBYTES = 64
PADDING = 20_000  # bytes of a webhook, which the store keeps twice: the body and the event
RESUMES_WITHIN = 6.0  # seconds after there is room, in a campaign at full scale: it looks once a second
FULL_WITHIN = 240  # seconds; a dozen of a machine without other work
REFUSED = 8  # 503s in a row after which the disk counts as full

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, concurrency: 4, retry: {{initial: 50ms, max: 500ms}}}}
targets: {{bot: {{url: "{bot}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: bot}}]
"""

pytestmark = pytest.mark.usefixtures("root")


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What a campaign saw. `resumed`: seconds from room to the next 200, each time there was room again."""

    disk: Tmpfs
    targets: Targets
    load: Load
    resumed: list[float] = field(default_factory=list)
    delivered_while_full: int = 0
    counted: float = 0
    findings: Findings = field(default_factory=Findings)

    def __str__(self) -> str:
        answers = ", ".join(f"{number} times {status}" for status, number in sorted(self.load.answers.items()))
        return (
            f"answered {answers}; {self.delivered_while_full} delivered while full; with room takes webhooks again"
            f" within {max(self.resumed, default=0):.1f} s: {self.findings}"
        )


async def campaign(folder: Path, ordeal: Callable[[Campaign], Awaitable[None]], command: Sequence[str]) -> Campaign:
    """Put a relay on a small disk and under load through this, let it drain, and judge."""
    with mounted(folder / "disk", mebibytes=MEBIBYTES) as disk:
        async with listening(bot=well) as targets, relay_on(disk, targets, command) as relay:
            load = Load(url=relay.hook, stages={1: frozenset({"bot"})}, per_second=200, padding=PADDING)
            seen = Campaign(disk=disk, targets=targets, load=load)
            async with load.flowing():
                await ordeal(seen)
            targets.behaviour["bot"] = well
            await relay.drained()
            seen.counted = await relay.metric("relay_webhooks_total", outcome="unavailable")
            seen.findings = judge(load.sent, targets.received)
            return seen


@asynccontextmanager
async def relay_on(
    disk: Tmpfs, targets: Targets, command: Sequence[str] = RELAY, *, ballast: int = 64 * MEBIBYTE
) -> AsyncIterator[RelayProcess]:
    """A relay that has its store there, and nothing else."""
    folder = disk.folder.parent
    relay = RelayProcess(folder, ROUTES.format(bot=targets.url("bot")), command=command, RELAY_BALLAST=str(ballast))
    relay.store = disk.folder / "relay.db"
    try:
        await relay.start()
        yield relay
    finally:
        await relay.kill()


async def ebb_and_flow(seen: Campaign) -> None:
    """The disk is full while the target is away; the target comes back; full once more, then a larger disk; …"""
    for _ in range(CYCLES):
        await filled(seen)
        await target_came_back(seen)
        await filled(seen)
        await grown(seen)


async def filled(seen: Campaign) -> None:
    """The target refuses everything, so that all of it has to be kept, until no webhook is taken any more."""
    load = seen.load
    seen.targets.behaviour["bot"] = always(503)

    async def full() -> bool:
        before, refused = load.acknowledged, load.answers[503]
        await until(lambda: load.answers[503] >= refused + REFUSED or load.acknowledged > before + 100)
        return load.acknowledged == before

    await until(full, FULL_WITHIN)


async def target_came_back(seen: Campaign) -> None:
    """The disk stays full, until what was delivered makes room for webhooks."""
    taken, acknowledged = len(seen.targets.accepted("bot")), seen.load.acknowledged
    seen.targets.behaviour["bot"] = well
    await until(lambda: seen.load.acknowledged >= acknowledged + 50)
    seen.delivered_while_full += len(seen.targets.accepted("bot")) - taken


async def grown(seen: Campaign) -> None:
    """From a larger disk to a webhook that is taken."""
    acknowledged, start = seen.load.acknowledged, monotonic()
    seen.disk.grow(MEBIBYTES)
    await until(lambda: seen.load.acknowledged > acknowledged)
    seen.resumed.append(monotonic() - start)


async def stuffed(seen: Campaign) -> None:
    """As much as the disk holds, while the target is away, whatever is answered."""
    seen.targets.behaviour["bot"] = always(503)
    await until(lambda: len(seen.load.sent) * PADDING > MEBIBYTES * MEBIBYTE, FULL_WITHIN)


@pytest.mark.timeout(2 * (FULL_WITHIN + 60) * CYCLES)
async def test_a_full_disk_loses_nothing_and_is_not_the_end(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path, ebb_and_flow, RELAY)
    report("disk full", f"{2 * CYCLES} times full, {seen}")
    assert not seen.findings.lost
    assert not seen.findings.unexpected
    assert not seen.findings.mismatched
    assert set(seen.load.answers) == {200, 503}
    assert seen.counted == seen.load.answers[503]
    assert seen.delivered_while_full >= 50
    if SCALE >= 1:  # a smaller campaign may run beside anything
        assert max(seen.resumed) < RESUMES_WITHIN


@pytest.mark.timeout(FULL_WITHIN + 120)
async def test_a_relay_that_answers_before_it_commits_is_found_guilty(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path, stuffed, sabotaged("answers_early"))
    report("disk full, sabotaged", f"answers before the commit: {seen}")
    assert seen.findings.lost


# ---- a start


async def test_a_relay_that_starts_on_a_full_disk_delivers_what_it_owes(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", mebibytes=MEBIBYTES) as disk:
        async with listening(bot=always(503)) as targets, relay_on(disk, targets) as relay:
            await until((disk.folder / "relay.db.ballast").exists)
            for number in range(20):
                await post_lead(relay.hook, f"m{number}")
            relay.signal(SIGTERM)
            assert await relay.ended() == 0
            disk.fill()
            targets.behaviour["bot"] = well
            await relay.spawn()
            await until(lambda: bool(targets.accepted("bot")))
            await relay.drained()
            assert len(set(targets.accepted("bot"))) == 20
            assert disk.free <= MEBIBYTES * MEBIBYTE // 8, "what it had held back, and no more"
            disk.empty()
            await relay.said("the disk of the store has free space again")
            await post_lead(relay.hook, "last")


async def test_without_anything_to_give_up_it_says_why_it_cannot_start(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", mebibytes=MEBIBYTES) as disk:
        async with listening(bot=well) as targets, relay_on(disk, targets, ballast=0) as relay:
            await post_lead(relay.hook, "m1")
            relay.signal(SIGTERM)
            assert await relay.ended() == 0
            said = len(relay.log.read_text())
            disk.fill()
            await relay.spawn()
            assert await relay.ended() == 1
            [line] = relay.log.read_text()[said:].splitlines()
            assert json.loads(line)["detail"].startswith(f"the disk of {disk.folder} is full: 0 bytes are free")


# ---- a backup


async def test_a_backup_onto_a_full_disk_fails_in_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    await open_sqlite(tmp_path, datetime.now(UTC)).close()
    with mounted(tmp_path / "disk", mebibytes=1) as disk:
        disk.fill()
        with pytest.raises(ConfigurationError, match=f"^no space left on {disk.folder}: make room"):
            backup(tmp_path / "relay.db", disk.folder / "copy.db")
        assert [file.name for file in disk.folder.iterdir()] == ["filler"]
