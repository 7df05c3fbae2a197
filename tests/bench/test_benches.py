"""The benches measure what they say, whatever the machine's pace: figures are there. None is judged here."""

import json
import os
import shutil
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.bench import acks, askers, decoding, matching, postgresql, rendering, through
from tests.bench.rounds import Plan
from tests.bench.servers import Other, Receiver, Relay
from tests.bench.through import Post, Through
from tests.bench.wrk import MISSING, WEBHOOK, BenchFailed
from tests.e2e.processes import run


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


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("wrk", "postgres")
async def test_a_relay_on_postgresql_is_measured_beside_one_on_sqlite_and_while_it_is_away(plan: Plan) -> None:
    rows = await postgresql.measure(plan, connections=[4], parts=["stores", "spool"])
    figures = {(row.bench.rpartition(", ")[2], row.what): row.ours[0] for row in rows}
    for bench, what in (("durable acks", "ack"), ("end to end", "webhook")):
        both, relay, server = (
            figures[bench, f"4 connections, processor, {of}"] for of in ("both", "relay", "PostgreSQL")
        )
        assert both == pytest.approx(relay + server)
        assert min(relay, server) > 1, f"µs/{what}"
    assert figures["claim and settle", "200 at once, 500 keys"] > 1
    assert figures["idle", "transactions"] > 0.1
    assert figures["acks by the spool", "4 connections, acks"] > 1
    assert figures["the spool forwarded", "webhooks"] > 1
    assert {row.beside for row in rows} == {"", "SQLite"}


async def test_the_benches_that_need_no_server_print_a_table_and_write_json(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.bench", "--quick", "--rounds=1", "--others=1", "--only=decoding")
    code, printed, complaint = await run(*command, f"--json={written}")
    assert code == 0, complaint
    rows = json.loads(written.read_text())["rows"]
    names = [row["what"].split(",")[0] for row in rows]
    assert names == 2 * ["digital pipeline"] + 2 * ["edited leads"] + 2 * ["largest sample"]
    assert all(row["what"] in printed and row["relay"] > 0 for row in rows)


def test_bodies_that_the_daemon_does_not_read_by_a_shape_have_no_figure_of_it() -> None:
    body = WEBHOOK.body.read_bytes()
    assert decoding.learned([body])(body)
    with pytest.raises(BenchFailed, match="no shape"):
        decoding.learned([body + b"&leads[status][0][metadata]=1"])
    with pytest.raises(BenchFailed, match="too many"):
        decoding.learned([body + b"&leads[status][0][x%d]=1" % number for number in range(4_000)])


async def test_one_of_many_routes_takes_the_event_that_matching_is_measured_with(plan: Plan) -> None:
    rows = await matching.measure(plan, numbers=[2, 20])
    assert [(row.what, row.beside) for row in rows[:2]] == [
        ("2 routes, matched", ""),
        ("20 routes, matched", "2 routes"),
    ]


async def test_a_template_is_measured_beside_plain_json_and_beside_ten(plan: Plan) -> None:
    rows = await rendering.measure(plan)
    assert [(row.what, row.beside) for row in rows] == [
        ("ten fields, one template", ""),
        ("ten fields, one template", "json.dumps"),
        ("ten fields, ten templates", "one template"),
        ("a text with filters", "json.dumps"),
    ]
    assert all(row.ours[0] > 0 for row in rows)


async def test_a_machine_without_wrk_is_told_what_to_install(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.bench", f"--json={tmp_path / 'none.json'}")
    code, _, complaint = await run(*command, PATH=str(tmp_path))
    assert (code, complaint.strip()) == (2, MISSING)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("postgres")
async def test_acks_are_measured_beside_askers_and_followers(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    rows = await askers.measure(plan, askers.Load(askers=25, followers=3), "sqlite", deliveries=10_000)
    assert [row.what for row in rows] == ["p50", "p99", "p99, medians", "longest", "memory", "memory, grown by"]
    assert all(row.ours[0] > 0 and row.theirs[0] > 0 for row in rows[:5])
    assert [(row.what, row.goal and row.goal.at_most) for row in rows if row.goal] == [
        ("p99, medians", 1.3),
        ("memory, grown by", 20),
    ]
    shown = capsys.readouterr().out
    assert all(f" {path.replace('{newest}', 'e5000')} " in shown for path in askers.API)


async def test_askers_that_are_refused_have_no_figure(plan: Plan) -> None:
    with pytest.raises(BenchFailed, match="no-such-path"):
        await askers.measure(plan, askers.Load(paths=["/no-such-path"]), "sqlite", deliveries=10_000)
