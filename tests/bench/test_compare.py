"""Two commits in turn: each runs its own code, and a wide spread proves nothing."""

import os
import sys
from pathlib import Path

import pytest

from tests.bench import compare
from tests.bench.rounds import Plan
from tests.bench.wrk import MISSING, BenchFailed
from tests.e2e.processes import run


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


async def test_a_base_that_is_no_commit_is_told(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.bench.compare", "no-such-commit", f"--folder={tmp_path}")
    code, _, complaint = await run(*command)
    assert code == 2
    assert complaint.strip() in (MISSING, "no commit 'no-such-commit' here")
    assert os.listdir(tmp_path) == [], "it leaves nothing behind"  # noqa: PTH208
