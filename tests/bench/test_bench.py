"""The instruments work, whatever the machine's pace: figures are there and are what they say. None is judged here."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from time import monotonic, time

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from relay.amocrm import form
from tests.bench import acks, budget, by_thread, compare, leads, matching, rounds, through
from tests.bench.processor import LOG, LOOP, STORE, cpu_by_thread, cpu_seconds
from tests.bench.profiles import shares
from tests.bench.rounds import Machine, Others, Plan, alternating
from tests.bench.servers import NAMED, Other, Receiver, Relay, receiving, relaying
from tests.bench.table import Goal, Row, figure, table
from tests.bench.through import Post, Through
from tests.bench.wrk import MISSING, WEBHOOK, BenchFailed, Content, load
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
    figures = [f"1 connection, {what}" for what in ("acks", "p50", "p99", "processor", "acks per CPU-second")]
    slowly = [each.replace(",", ", fsync + 50 ms,") for each in figures] if slow_disk_can_be_made else []
    assert [row.what for row in rows] == figures + slowly
    for p50 in rows[6:7]:
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

        async def count(plan: Plan, server: Other | Relay, receiver: Receiver, post: Post) -> Through:
            start = monotonic()
            found: Through = await measured(plan, server, receiver, post)
            took[name], taken[name] = monotonic() - start, (await receiver.figures())["taken"]
            return found

        monkeypatch.setattr(through, name, count)

    counted("delivered")
    counted("_forwarded")
    rows = await through.measure(plan, numbers=[3])
    assert [row.what for row in rows] == [
        "3 targets, delivered and settled",
        "3 targets, processor",
        "3 targets, webhooks per CPU-second",
        "3 targets, deliveries per CPU-second",
    ]
    rate, cpu, webhooks, deliveries = rows
    assert webhooks.ours[0] * cpu.ours[0] == pytest.approx(1e6)
    assert deliveries.ours[0] == 3 * webhooks.ours[0]
    for name, events, spent in (("delivered", *rate.ours, *cpu.ours), ("_forwarded", *rate.theirs, *cpu.theirs)):
        assert 0.7 < events * took[name] * 3 / taken[name] < 2, "the whole side takes somewhat longer than its figure"
        assert 0.01 < events * spent / 1e6 <= (os.cpu_count() or 1) * 1.1, "processors that were at work"


async def test_the_benches_that_need_no_server_print_a_table_and_write_json(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.bench", "--quick", "--rounds=1", "--others=1", "--only=decoding")
    code, printed, complaint = await run(*command, f"--json={written}")
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


# ---- a machine that others use


BURN = "while :; do :; done >/dev/null 2>&1 & echo $!"
"""In a shell that ends: what burns belongs to init, and was not started by this process."""


@pytest.fixture
async def taken() -> AsyncIterator[None]:
    """A machine on which others keep every processor busy."""
    pids = [int((await run("sh", "-c", BURN))[1]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGKILL)


@pytest.mark.usefixtures("taken")
async def test_a_machine_that_others_use_says_how_much_they_have() -> None:
    machine = Machine()
    await asyncio.sleep(1)
    assert 0.2 < machine.others() <= 1.1


async def test_what_this_process_started_is_not_others() -> None:
    """Neither while it runs nor once it has ended."""
    spin = "from time import process_time\nwhile process_time() < 0.5: pass"
    start = rounds.processor_time()
    await run(sys.executable, "-c", spin)
    assert rounds.processor_time() - start > 0.45
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        start = rounds.processor_time()
        async with asyncio.timeout(20):
            while cpu_seconds([process.pid]) < 1:  # noqa: ASYNC110  the system tells nobody
                await asyncio.sleep(0.1)
        assert rounds.processor_time() - start > 0.9
    finally:
        process.kill()
        await process.wait()


@pytest.mark.usefixtures("taken")
async def test_a_taken_machine_has_no_ratio_and_the_exit_code_says_so(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.bench", "--quick", "--rounds=1", "--only=decoding", f"--json={written}")
    code, printed, complaint = await run(*command)
    assert code == 3, complaint
    assert printed.count("NO FIGURE\n") == 4
    assert "NO FIGURES in 4 of 4 rows: others had more than 10% of the processors" in printed
    document = json.loads(written.read_text())
    assert document["rows without figures"] == 4
    for row in document["rows"]:
        assert (row["relay"], row["ratio"], row["met"]) == (None, None, None)
        assert row["others"]["taken"] > row["others"]["limit"] == 0.1
        assert row["samples"]["relay"]


@pytest.mark.parametrize(
    ("shares", "kept", "aside", "is_taken"),
    [
        ([0.0, 0.1], [0, 1], [], False),
        ([0.0, 0.5, 0.11, 0.1], [0, 3], [0.5, 0.11], False),
        ([0.5, 0.5, 0.0, 0.4], [2, 3], [0.5, 0.5], True),
        ([0.5, 0.5, 0.4, 0.3], [2, 3], [0.5, 0.5], True),
    ],
)
async def test_a_round_that_others_disturbed_is_repeated_but_not_for_ever(
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    shares: list[float],
    kept: list[int],
    aside: list[float],
    is_taken: bool,
) -> None:
    left, numbers = iter(shares), iter(range(9))
    monkeypatch.setattr(Machine, "others", lambda _machine: next(left))

    async def sample() -> int:
        return next(numbers)

    found = await alternating(replace(plan, rounds=2, repeats=2), side=sample)
    assert found.samples["side"] == kept
    assert found.others.aside == aside
    assert (found.others.taken is not None) is is_taken


def test_a_row_of_a_taken_machine_tells_how_much_others_had_in_place_of_its_figures() -> None:
    row = replace(ROW, others=Others(limit=0.1, shares=[0.05, 0.34, 0.2]))
    told = table([row]).splitlines()[-1]
    assert told.endswith("others had 34%       3  ≥ 0.95  NO FIGURE")
    assert "0.9 " not in told
    assert row.document()["ratio"] is row.document()["met"] is None


# ---- by thread


@pytest.mark.skipif(sys.platform != "linux", reason="no schedstat")
async def test_the_processor_time_of_a_relay_is_told_by_thread(tmp_path: Path) -> None:
    async with relaying(tmp_path, acks.NOWHERE, command=NAMED) as relay:
        spent = cpu_by_thread(relay.pids)
        assert {LOOP, STORE, LOG} <= spent.keys()
        assert sum(spent.values()) == pytest.approx(cpu_seconds(relay.pids), rel=0.2)
        assert spent[LOOP] > spent[STORE] > 0


def test_what_some_cores_could_do_is_computed_from_the_loops_time_and_that_of_all_threads() -> None:
    assert by_thread.bounds(loop=200, total=250, cores=1) == (4000, 4000)
    assert by_thread.bounds(loop=200, total=250, cores=4) == (4000, 5000)
    assert by_thread.bounds(loop=100, total=500, cores=4) == (2000, 8000)
    assert by_thread.bounds(loop=100, total=500, cores=16) == (2000, 10000)
    rows = by_thread.rows_by_thread("acks", [Through(rate=1, cpu=250, p50=1, threads={LOOP: 200, STORE: 50})], Others())
    told = by_thread.told(by_thread.computed(rows))
    assert told.startswith("COMPUTED, not measured,")
    assert "   1 core   4,000 webhooks/s" in told
    assert "  16 cores  4,000 – 5,000 webhooks/s" in told
    taken = [replace(row, others=Others(limit=0.1, shares=[0.5])) for row in rows]
    alone = [replace(row, bench=f"{by_thread.WAITING}acks") for row in rows]
    assert by_thread.computed(taken) == by_thread.computed(alone) == []


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrk")
@pytest.mark.skipif(sys.platform != "linux", reason="no schedstat")
async def test_a_budget_counts_threads_waits_and_calls_of_a_webhook(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "OUTPUT", plan.folder / "budget.txt")
    told = await budget.measure(plan, numbers=[1])
    lines = {line[:28].strip(): float(line.split()[-1].replace(",", "")) for line in told.splitlines()[2:]}
    assert lines["processor, all threads, µs"] > lines[LOOP] > 0
    if shutil.which("strace"):
        assert 1 <= lines["fdatasync"] < 4, "before the answer, and when it is settled"
        assert lines["pwrite64"] > 2


def test_a_traced_call_that_is_interrupted_is_counted_once() -> None:
    lines = """\
7 pwrite64(9, "x"..., 24, 32) = 24
7 fdatasync(9 <unfinished ...>
8 pwrite64(9, "x"..., 24, 32) = 24
7 <... fdatasync resumed>) = 0
"""
    assert budget.calls(lines) == {"pwrite64": 2, "fdatasync": 1}


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
    assert table([replace(ROW, goal=Goal(at_least=0.9))]).endswith("≥ 0.9  reached")
    assert ROW.document()["met"] is False


def test_an_aim_is_more_than_must_be_reached() -> None:
    higher, lower = Goal(at_least=0.8, aim=0.9), Goal(at_most=1.8, aim=1.5)
    assert table([replace(ROW, goal=higher)]).endswith("≥ 0.8, aim 0.9  AIM REACHED")
    assert [higher.verdict(value) for value in (0.79, 0.8, 0.9)] == ["MISSED", "reached", "AIM REACHED"]
    assert [lower.verdict(value) for value in (1.81, 1.8, 1.5)] == ["MISSED", "reached", "AIM REACHED"]
    assert replace(ROW, goal=higher).document()["aim met"] is True


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
        "aim met": None,
        "others": {"limit": 1.0, "shares": [], "aside": [], "taken": None},
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
    assert [row.what for row in found.judged] == [
        *("acks, 16 connections", "acks, 64 connections"),
        *("end to end, 1 connection", "end to end, 64 connections"),
    ]
    assert all(0 < each < 1e5 for row in found.judged for each in (*row.ours, *row.theirs)), "microseconds"
    assert [0 <= share <= 1 for share in found.others] == [True]
    told = compare.report(found, old, compare.this_tree())
    assert "end to end, 1 connection: × " in told
    assert told.count("not distinguishable (1 pair; 5 are needed)") == 4


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
