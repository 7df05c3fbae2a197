"""The n-th write or sync of the database fails: whatever was acknowledged is there after a restart, once; R5, R6.

In this process the disk is a VFS of ours, and a restart opens what kill -9 would have left. A few times a whole relay
runs under strace, which has the kernel refuse the call.
"""

import asyncio
import shutil
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from relay.errors import RelayError, StoreError, StoreFailed
from relay.model import Delivered
from relay.store.records import Filter
from relay.store.sqlite import writer
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.store import SqliteStore
from relay.store.sqlite.writer import Writer
from tests.chaos.conftest import Report
from tests.chaos.faulty import Disk, attached
from tests.chaos.scale import SEED, scaled
from tests.e2e.history import judge as judge_history
from tests.e2e.processes import RELAY, RelayProcess, running
from tests.e2e.sender import Load
from tests.e2e.targets import listening, well
from tests.store.conftest import MINUTE, NOON, OK, claim, routed, to, webhook
from tests.tools import tool

FAULTS = scaled(200, least=20)
ROUNDS, AT_ONCE = 12, 4
MIDST = ROUNDS // 2
ENDS_WITHIN = 15.0  # seconds: thrice what is promised, as the machine may have other work
FILES = ("relay.db", "relay.db-wal", "relay.db.acked")
OWED = [(0, "bot"), (0, "dwh"), (1, "bot")]
"""Of each webhook: which event, to whom."""


@dataclass(kw_only=True)
class Run:
    """One short run, by numbers of webhooks. `late`: acknowledged after the store had said that it failed."""

    acked: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    failures: int = 0
    begun: bool = False
    struck: bool = False


@dataclass(kw_only=True)
class Findings:
    """Of many runs; all but the first four must be empty, and each says where."""

    struck: int = 0
    acked: int = 0
    unknown: int = 0
    recovered: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    unsound: list[str] = field(default_factory=list)

    @property
    def guilty(self) -> list[str]:
        return self.lost + self.doubled + self.late + self.unsound

    def __str__(self) -> str:
        return (
            f"{self.struck} faults (seed {SEED}), {self.acked} acknowledged: lost {len(self.lost)}, doubled"
            f" {len(self.doubled)}, unsound {len(self.unsound)}, acknowledged after the fault {len(self.late)};"
            f" {self.recovered} of {self.unknown} unknown ones recovered"
        )


# ---- one run


async def run(folder: Path, disk: Disk) -> Run:
    """Webhooks, some settled at once, and a checkpoint in the midst; then what kill -9 would leave, and the end."""
    seen = Run()

    def failed() -> None:
        seen.failures += 1

    try:
        store = SqliteStore.open(folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=failed)
    except RelayError:
        return seen
    seen.begun = True
    for number in range(ROUNDS):
        with checkpoints() if number == MIDST else nullcontext():
            await work(store, seen, range(number * AT_ONCE, (number + 1) * AT_ONCE))
    seen.struck = disk.failed
    image(folder)
    with suppress(apsw.IOError):  # of the last checkpoint; SQLite itself keeps quiet, the WAL stays
        await store.close()
    return seen


@contextmanager
def checkpoints() -> Iterator[None]:
    """After each commit, but for the last one: its checkpoint may come too late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "CHECKPOINT_PAGES", 1)
        patch.setattr(writer, "CHECKPOINT_NOW_PAGES", 1)  # also if the loop has queued the next write already
        yield


async def work(store: SqliteStore, seen: Run, numbers: Sequence[int]) -> None:
    over = seen.failures  # before they are asked for: a checkpoint that fails behind their commit is no fault of theirs
    asked = [(number, keep(store, number)) for number in numbers]
    for number, kept in asked:
        try:
            await kept
        except StoreError:
            seen.unknown.append(number)
        else:
            seen.acked.append(number)
            seen.late += [number] if over else []
    with suppress(StoreError):
        for delivery in await claim(store, limit=3):
            await store.settle(delivery, OK, Delivered(), now=NOON)


def keep(store: SqliteStore, number: int) -> Future[Any]:
    first, second = routed(2 * number, to(lease=MINUTE), to("dwh")), routed(2 * number + 1, to())
    return store.keep(webhook(number), [first, second])


def image(folder: Path) -> None:
    (folder / "image").mkdir()
    for name in FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, folder / "image" / name)


# ---- what is there after it


async def judge(folder: Path, seen: Run, findings: Findings, where: str) -> None:
    store = SqliteStore.open(folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    before = Counter(await planned(store))
    findings.acked += len(seen.acked)
    findings.unknown += len(seen.unknown)
    for number in seen.acked + seen.unknown:
        there = [before[f"event-{2 * number + event:04}", target] for event, target in OWED]
        findings.recovered += number in seen.unknown and all(there)
        if not all(there) and (number in seen.acked or any(there)):
            findings.lost.append(f"{where}: webhook {number} has {there}")
    for number in seen.unknown:  # a caller without an answer repeats the call with the same ids
        await keep(store, number)
    after = Counter(await planned(store))
    claimed = [(each.event_id, target) for target in ("bot", "dwh") for each in await claim(store, target, limit=1000)]
    if max((after + Counter(claimed)).values(), default=0) > 2 or len(after) != len(OWED) * len(
        seen.acked + seen.unknown
    ):
        findings.doubled.append(f"{where}: {len(after)} deliveries, {len(claimed)} claimed")
    findings.late += [f"{where}: webhook {number}" for number in seen.late]
    await store.close()
    if not (report := verify(folder / "relay.db")).sound:
        findings.unsound.append(f"{where}: {report.structure} {report.losses}")


async def planned(store: SqliteStore) -> list[tuple[str, str]]:
    return [(each.event_id, each.target) for each in await store.find(Filter(), limit=10_000)]


async def campaign(folder: Path, faults: int) -> Findings:
    """Each fault at a call of its own; as many at syncs as at writes, of which there are far more."""
    calls = await calls_of_a_whole_run(folder)
    chance = Random(SEED)
    findings = Findings()
    for turn, (kind, number) in enumerate(places(calls, faults, chance)):
        disk = Disk(kind=kind, fails=number, stays=chance.random() < 0.5, torn=chance.random() < 0.5)
        made = folder / str(turn)
        made.mkdir()
        with attached(disk):
            seen = await run(made, disk)
        findings.struck += disk.failed
        where = f"{kind} {number} of {calls[kind]}{', and all later ones' * disk.stays}"
        if seen.failures != seen.struck:
            findings.late.append(f"{where}: {seen.failures} failures told")
        crashed = seen.begun and chance.random() < 0.5  # else it had the time to close its files
        await judge(made / "image" if crashed else made, seen, findings, where)
        shutil.rmtree(made)
    return findings


def places(calls: dict[str, int], faults: int, chance: Random) -> list[tuple[str, int]]:
    syncs = min(faults // 2, calls["sync"])
    wanted = {"sync": syncs, "write": min(faults - syncs, calls["write"])}
    return [(kind, each) for kind, most in wanted.items() for each in chance.sample(range(1, calls[kind] + 1), most)]


async def calls_of_a_whole_run(folder: Path) -> dict[str, int]:
    disk = Disk()
    (folder / "whole").mkdir()
    with attached(disk):
        seen = await run(folder / "whole", disk)
    assert len(seen.acked) == ROUNDS * AT_ONCE
    assert MIDST * AT_ONCE <= checkpointed(folder / "whole" / "image") < ROUNDS * AT_ONCE
    return disk.calls


def checkpointed(folder: Path) -> int:
    """Webhooks in the database itself, without its log."""
    address = f"file:{folder / 'relay.db'}?immutable=1"
    with closing(apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as database:
        if not database.execute("select 1 from sqlite_schema where name = 'webhooks'").get:
            return 0
        return int(database.execute("select count(*) from webhooks").get)


@pytest.mark.timeout(60 + FAULTS)
async def test_a_disk_that_fails_loses_nothing_that_was_acknowledged(tmp_path: Path, report: Report) -> None:
    findings = await campaign(tmp_path, FAULTS)
    report("n-th write or sync fails", str(findings))
    assert not findings.guilty, findings.guilty[:5]
    assert findings.struck > 0.8 * FAULTS, "a run may be through a call or two earlier than the one that was counted"


async def test_a_probe_reaches_the_disk_and_fails_with_it(tmp_path: Path) -> None:
    disk = Disk(kind="sync")
    with attached(disk):
        store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
        before = disk.calls["sync"]
        await store.probe()
        assert disk.calls["sync"] > before
        disk.fails = disk.calls["sync"] + 1
        with pytest.raises(StoreFailed):
            await store.probe()
        await store.close()


async def test_a_commit_that_failed_may_turn_up_again_and_is_delivered_once(tmp_path: Path) -> None:
    disk = Disk(kind="sync")
    with attached(disk):
        store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
        await keep(store, 1)
        disk.fails = disk.calls["sync"] + 1
        for _ in range(2):
            with pytest.raises(StoreFailed):
                await keep(store, 2)
        before = dict(disk.calls)
        await store.close()
        assert disk.calls == before, "what failed once is not tried again in place: the restart does that"
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    assert await store.show("webhook-0002") is not None, "it is on the disk, though nobody was told so"
    assert await keep(store, 2) == [], "asked again by the same ids, it is kept already"
    assert [each.event_id for each in await claim(store, "dwh")] == ["event-0002", "event-0004"]
    assert await claim(store, "dwh") == []
    await store.close()


# ---- the campaign notices


async def test_a_store_that_takes_a_failed_commit_for_a_good_one_is_found_guilty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact: Callable[..., list[Any]] = Writer._transact

    def careless(asked: Writer, batch: Sequence[Any]) -> list[Any]:
        with suppress(apsw.IOError):
            return transact(asked, batch)
        return [[[] for _ in writes.arguments] for writes in batch]

    monkeypatch.setattr(Writer, "_transact", careless)
    assert (await campaign(tmp_path, 20)).lost


async def test_a_store_that_goes_on_after_a_failure_is_found_guilty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up: Callable[..., Any] = Writer._give_up

    def stubborn(asked: Writer, failure: Any) -> Any:
        given = give_up(asked, failure)
        monkeypatch.setattr(asked, "_failure", None)
        return given

    monkeypatch.setattr(Writer, "_give_up", stubborn)
    assert (await campaign(tmp_path, 20)).late


async def test_a_store_that_keeps_a_webhook_twice_is_found_guilty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = keep

    def forgetful(store: SqliteStore, number: int) -> Future[Any]:
        return given(store, number + 1000)

    (tmp_path / "one").mkdir()
    seen = await run(tmp_path / "one", Disk())
    seen.acked.remove(0)
    seen.unknown, findings = [0], Findings()
    monkeypatch.setattr(f"{__name__}.keep", forgetful)
    await judge(tmp_path / "one", seen, findings, "one")
    assert findings.doubled


# ---- a whole relay, and the kernel

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, retry: {{initial: 50ms, max: 500ms}}}}
targets: {{well: {{url: "{well}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: well}}]
"""


def refusing(call: str, number: int) -> tuple[str, ...]:
    """A relay whose calls fail from the number-th on."""
    strace = tool("strace", "strace")
    inject = f"inject={call}:error=EIO:when={number}+"
    return (strace, "-f", "-qq", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", *RELAY)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_a_relay_whose_disk_fails_ends_soon_and_loses_nothing(tmp_path: Path, report: Report, call: str) -> None:
    number = Random(SEED).randint(60, 200)
    async with listening(well=well) as targets:
        async with running(tmp_path, ROUTES.format(well=targets.url("well"))):
            pass  # it makes the tables, which takes as many calls as there are
        relay = RelayProcess(tmp_path, ROUTES.format(well=targets.url("well")), command=refusing(call, number))
        load = Load(url=relay.hook, stages={1: frozenset({"well"})}, per_second=200)
        try:
            await relay.start()
            async with load.flowing():
                await relay.said("the store failed: the relay stops")
                async with asyncio.timeout(ENDS_WITHIN):
                    code = await relay.ended()
            restarted = RelayProcess(tmp_path, relay.routes.read_text())
        finally:
            await relay.kill()
        relay = restarted
        try:
            await relay.start()
            await relay.drained()
        finally:
            await relay.kill()
        findings = judge_history(load.sent, targets.received)
    acknowledged = sum(each.acknowledged for each in load.sent)
    report(f"{call} fails", f"from call {number} on: exit code {code}, {acknowledged} acknowledged: {findings}")
    assert code == 1
    assert acknowledged
    assert not findings.lost
    assert not findings.unexpected
    assert not findings.mismatched
