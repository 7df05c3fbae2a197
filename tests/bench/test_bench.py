"""The instruments work, whatever the machine's pace: figures are there and are what they say. None is judged here."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from relay.amocrm import form
from tests.bench import acks, compare, leads, matching, through
from tests.bench.profiles import shares
from tests.bench.servers import Other, Receiver, Relay, receiving
from tests.bench.table import Goal, Row, figure, table
from tests.bench.through import Through
from tests.bench.wrk import MISSING, WEBHOOK, BenchFailed, Content, Plan, cpu_seconds, load
from tests.e2e.processes import run


@pytest.fixture
def wrk() -> None:
    """Where it is missing the test is skipped, and in CI it fails."""
    if not shutil.which("wrk"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(folder=tmp_path, rounds=1, seconds=1, quick=True)


# ---- measuring


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrk")
async def test_acks_are_measured_beside_the_bare_handlers_also_over_a_slow_disk(plan: Plan) -> None:
    slow_disk_can_be_made = shutil.which("gcc") is not None
    rows = await acks.measure(plan, connections=[1], delays=[50])
    figures = [f"1 connection, {what}" for what in ("acks", "p50", "p99", "processor")]
    slowly = [each.replace(",", ", fsync + 50 ms,") for each in figures] if slow_disk_can_be_made else []
    assert [row.what for row in rows] == figures + slowly
    for p50 in rows[5:6]:
        assert p50.ours[0] > 50 > p50.theirs[0]


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrk")
async def test_end_to_end_counts_an_event_once_when_each_of_three_targets_has_taken_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a second count: what the receiver has taken, over the time that the whole side took."""
    took: dict[str, float] = {}
    taken: dict[str, int] = {}

    def counted(name: str) -> None:
        measured = getattr(through, name)

        async def count(plan: Plan, server: Other | Relay, receiver: Receiver, targets: int) -> Through:
            start = monotonic()
            found: Through = await measured(plan, server, receiver, targets)
            took[name], taken[name] = monotonic() - start, (await receiver.figures())["taken"]
            return found

        monkeypatch.setattr(through, name, count)

    counted("delivered")
    counted("_forwarded")
    rows = await through.measure(plan, numbers=[3])
    assert [row.what for row in rows] == ["3 targets, delivered and settled", "3 targets, processor"]
    rate, cpu = rows
    for name, events, spent in (("delivered", *rate.ours, *cpu.ours), ("_forwarded", *rate.theirs, *cpu.theirs)):
        assert 0.7 < events * took[name] * 3 / taken[name] < 2, "the whole side takes somewhat longer than its figure"
        assert 0.01 < events * spent / 1e6 <= (os.cpu_count() or 1) * 1.1, "processors that were at work"


async def test_the_benches_that_need_no_server_print_a_table_and_write_json(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.bench", "--quick", "--rounds=1", "--only=decoding", f"--json={written}")
    code, printed, complaint = await run(*command)
    assert code == 0, complaint
    rows = json.loads(written.read_text())["rows"]
    names = [row["what"].split(",")[0] for row in rows]
    assert names == 2 * ["digital pipeline"] + 2 * ["largest sample"]
    assert all(row["what"] in printed and row["relay"] > 0 for row in rows)


async def test_one_of_many_routes_takes_the_event_that_matching_is_measured_with(plan: Plan) -> None:
    rows = await matching.measure(plan, numbers=[2, 20])
    assert [(row.what, row.beside) for row in rows[:2]] == [
        ("2 routes, matched", ""),
        ("20 routes, matched", "2 routes"),
    ]


# ---- what would not be honest


@pytest.mark.usefixtures("wrk")
async def test_a_server_that_refuses_has_no_figure(aiohttp_server: AiohttpServer) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/hooks/crm/x", refuse)
    server = await aiohttp_server(app)
    refusing = TargetStatus(url=str(server.make_url("/hooks/crm/x")))
    with pytest.raises(BenchFailed, match="not all was answered 2xx"):
        await load(refusing, connections=2, seconds=1)


class TargetStatus:
    """A server in this process."""

    def __init__(self, *, url: str) -> None:
        self.url = url
        self.pids: Sequence[int] = [os.getpid()]


async def test_a_pace_is_kept_and_a_receiver_takes_all_of_it() -> None:
    async with receiving() as receiver:
        pace = (sys.executable, "-m", "tests.bench.pace", receiver.urls(1)[0], str(WEBHOOK.body), "50", "0.4")
        code, printed, complaint = await run(*pace)
        assert code == 0, complaint
        assert json.loads(printed)["sent"] == (await receiver.has(20))["taken"] == 20
        with pytest.raises(BenchFailed, match="has 20 of 21"):
            await receiver.has(21, seconds=0.1)
        await receiver.forget()
        assert (await receiver.figures())["taken"] == 0


async def test_a_receiver_tells_how_late_an_event_came() -> None:
    async with receiving() as receiver, ClientSession() as session:
        for ago in (0, 7):
            at = datetime.fromtimestamp(time() - ago, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await session.post(receiver.urls(1)[0], data=f'{{"id":"1","timestamp":"{at}","data":{{}}}}'.encode())
        soon, late = await receiver.lags()
    assert 0 <= soon < 5
    assert 7 <= late < 12


async def test_a_machine_without_wrk_is_told_what_to_install(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.bench", f"--json={tmp_path / 'none.json'}")
    code, _, complaint = await run(*command, PATH=str(tmp_path))
    assert (code, complaint.strip()) == (2, MISSING)


# ---- telling


ROW = Row(
    bench="acks",
    what="64",
    unit="/s",
    ours=[50, 10, 90],
    beside="bare",
    theirs=[100, 10, 100],
    goal=Goal(at_least=0.95),
)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ROW.ratios == [0.5, 1.0, 0.9]
    assert ROW.judged == 0.9
    assert ROW.spread == (0.5, 1.0)


def test_a_goal_that_is_not_reached_says_so() -> None:
    assert table([ROW]).splitlines()[-1].endswith("≥ 0.95  MISSED")
    assert table([replace(ROW, goal=Goal(at_least=0.9))]).endswith("reached")
    assert ROW.document()["met"] is False


def test_without_anything_beside_it_the_figure_itself_is_judged() -> None:
    alone = Row(bench="footprint", what="memory", unit="MB", ours=[79, 81, 82], goal=Goal(at_most=80))
    assert alone.document() | {"samples": None} == {
        "bench": "footprint",
        "what": "memory",
        "unit": "MB",
        "relay": 81,
        "beside": None,
        "other": None,
        "ratio": None,
        "goal": "≤ 80",
        "met": False,
        "samples": None,
    }


def test_rounds_of_unequal_number_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = replace(ROW, theirs=[100, 10]).judged


@pytest.mark.parametrize(
    ("value", "told"), [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123")]
)
def test_a_figure_has_three_digits_that_count(value: float, told: str) -> None:
    assert figure(value) == told


def test_a_call_that_costs_twice_as_much_measures_about_twice() -> None:
    def spin(times: int) -> None:
        for _ in range(times):
            pass

    ratio = matching.microseconds(lambda: spin(40_000)) / matching.microseconds(lambda: spin(10_000))
    assert 2 < ratio < 8


def test_a_profile_tells_a_functions_own_time_from_what_it_calls() -> None:
    told = shares("thread;outer (a.py:1);inner (b.py:7) 3\nthread;outer (a.py:2) 1\n").splitlines()
    assert "  75.0%    75.0%  inner (b.py)" in told
    assert "  25.0%   100.0%  outer (a.py)" in told


# ---- two commits in turn


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrk")
async def test_two_commits_are_compared_each_by_its_own_code(plan: Plan) -> None:
    old = compare.checked_out("HEAD", plan.folder / "old")
    found = await compare.compare(plan, old, compare.this_tree())
    assert [row.what for row in found.judged] == ["acks, 16 connections", "acks, 64 connections", "end to end"]
    assert all(0 < each < 1e5 for row in found.judged for each in (*row.ours, *row.theirs)), "microseconds"
    assert [0 <= share <= 1 for share in found.others] == [True]
    told = compare.report(found, old, compare.this_tree())
    assert "end to end: × " in told
    assert told.count("not distinguishable (1 pair; 5 are needed)") == 3


async def test_a_side_of_a_comparison_that_would_run_other_code_has_no_figure(tmp_path: Path) -> None:
    nothing = compare.Code(name="nothing", folder=tmp_path / "nothing")
    with pytest.raises(BenchFailed, match="nothing is not what would run"):
        await compare.Side(nothing, tmp_path / "side", "http://127.0.0.1:9/").demand_code()
    old = compare.checked_out("HEAD", tmp_path / "old")
    await compare.Side(old, tmp_path / "other", "http://127.0.0.1:9/").demand_code()


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.0, 1.02, 1.04, 0.98, 1.0], compare.Verdict.AS_GOOD),
        ([0.8, 0.82, 0.84, 0.79, 0.8], compare.Verdict.AS_GOOD),
        ([1.06, 1.07, 1.04, 1.08, 1.06], compare.Verdict.DEARER),
        ([1.2, 1.5, 1.4, 1.3, 1.2], compare.Verdict.DEARER),
        ([0.9, 1.0, 1.0, 1.0, 1.01], compare.Verdict.UNCLEAR),
        ([0.98, 1.2, 1.3, 1.2, 1.2], compare.Verdict.UNCLEAR),
        ([0.7, 0.9, 0.8, 0.7, 0.8], compare.Verdict.UNCLEAR),
        ([1.0, 1.0, 1.0, 1.0], compare.Verdict.UNCLEAR),
    ],
)
def test_a_spread_that_is_too_wide_is_no_proof_of_being_as_good(ratios: list[float], verdict: compare.Verdict) -> None:
    assert compare.judge(ratios) is verdict


def test_a_comparison_posts_a_thousand_leads_that_differ(tmp_path: Path) -> None:
    bodies = leads.webhooks(tmp_path).body.read_text().splitlines()
    read = [form.decode(body.encode(), WEBHOOK.type)["leads"] for body in bodies]
    items = [item for each in read for action in each.values() for item in action.values()]
    assert len({item["id"] for item in items}) == len(bodies) == 1_000
    assert {key for each in read for key in each} == {"status", "update", "add"}
    assert len({(item["pipeline_id"], item["status_id"]) for item in items}) > 50
    assert len({item["name"] for item in items if "name" in item}) > 100


@pytest.mark.usefixtures("wrk")
async def test_bodies_in_lines_take_turns_and_one_is_posted_as_it_is(
    aiohttp_server: AiohttpServer, tmp_path: Path
) -> None:
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    server = TargetStatus(url=str((await aiohttp_server(app)).make_url("/")))
    (tmp_path / "bodies").write_text("a={id}\nb=1\n")
    await load(server, connections=1, seconds=1, content=Content(body=tmp_path / "bodies", more={"WRK_LINES": "1"}))
    assert {body[:2] for body in got} == {"a=", "b="}
    assert len({body for body in got if body[0] == "a"}) == len([body for body in got if body[0] == "a"])
    got.clear()
    await load(server, connections=1, seconds=1, content=Content(body=tmp_path / "bodies"))
    assert {body.partition("\n")[2] for body in got} == {"b=1\n"}


async def test_the_processor_time_is_that_of_all_threads() -> None:
    """Of a process whose first thread only waits."""
    spin = "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", spin)
    try:
        start = cpu_seconds([process.pid])
        async with asyncio.timeout(20):
            while cpu_seconds([process.pid]) < start + 0.3:  # noqa: ASYNC110  the system tells nobody
                await asyncio.sleep(0.05)
        assert process.returncode is None, "it is at work, and was counted"
    finally:
        process.kill()
        await process.wait()


async def test_a_base_that_is_no_commit_is_told(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.bench.compare", "no-such-commit", f"--folder={tmp_path}")
    code, _, complaint = await run(*command)
    assert code == 2
    assert complaint.strip() in (MISSING, "no commit 'no-such-commit' here")
    assert os.listdir(tmp_path) == [], "it leaves nothing behind"  # noqa: PTH208
