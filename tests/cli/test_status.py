"""`relay status`: who paused a target, how a daemon saw it, and whether that daemon still runs."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from relay.store.contract import Condition
from relay.store.lock import Lock
from tests.cli.conftest import ESCAPE, MINUTE, NOON, Run, Use, on_terminal, plain

HELD = Condition(health="open", since=NOON, as_of=NOON + MINUTE, error=f"5xx 503 busy{ESCAPE}")
WELL = Condition(health="ok", since=NOON, as_of=NOON + MINUTE)


def test_it_tells_who_paused_a_target_and_why(run: Run, kept: Path) -> None:
    run("pause", "warehouse", "--reason", f"upgrade{ESCAPE}")
    lines = run("status").stdout.splitlines()
    assert lines[2].split()[-2:] == ["paused", "yes"]
    assert re.fullmatch(r"warehouse was paused [\w. ]+ ago by \S+@\S+: upgrade\\u001b\[31m", lines[4])
    paused = {each["target"]: each["paused"] for each in json.loads(run("status", "--json").stdout)["targets"]}
    assert (paused["sales-bot"], paused["warehouse"]["reason"]) == (None, f"upgrade{ESCAPE}")


def test_without_a_daemon_it_says_as_of_when_the_targets_stood_so(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    refill(lambda store: store.report({"warehouse": HELD, "sales-bot": WELL}))
    lines = run("status").stdout.splitlines()
    assert "ok, as of 11-22 12:01:00" in lines[1]
    assert "open, as of 11-22 12:01:00" in lines[2]
    assert lines[4] == r"warehouse fails since 11-22 12:00:00: 5xx 503 busy\u001b[31m"
    assert lines[-1] == "daemon        not running"
    documents = json.loads(run("status", "--json").stdout)
    assert documents["daemon"] is None
    assert documents["targets"][1]["breaker"] == {
        "state": "open",
        "since": "2026-11-22T12:00:00.000Z",
        "as_of": "2026-11-22T12:01:00.000Z",
        "error": f"5xx 503 busy{ESCAPE}",
    }


def test_beside_a_daemon_the_targets_stand_so_now(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.report({"warehouse": HELD, "sales-bot": WELL}))
    daemon = Lock(kept)
    text = run("status").stdout
    daemon.release()
    assert "as of" not in text
    assert text.splitlines()[-1] == f"daemon        running, pid {os.getpid()}"


def test_it_fits_80_columns(kept: Path, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.report({"warehouse": HELD, "warehouse-of-the-north-west": HELD, "w" * 64: WELL}))
    assert max(map(len, plain(on_terminal("status")))) <= 80
