"""`relay acts`: what relays do that takes long, here and from afar."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.operations.act_traces import REPORT
from relay.rfc3339 import rfc3339
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from tests.cli.conftest import MINUTE, NOON, Run, Use

ONE, OTHER, DONE = (f"019ab100-0000-7000-8000-00000000000{each}" for each in "abc")
ENTRY = AuditEntry(id=ONE, at=NOON, who="olga", command="replay", details={"target": "warehouse"}, count=7)


@pytest.fixture
def begun(kept: Path, refill: Callable[[Use], None]) -> None:
    """A replay that failed, and a purge in whose midst the relay ended."""

    async def fill(store: Archive) -> None:
        await store.record_audit(ENTRY, 7)
        failed = {
            "operation": "replay",
            "began_at": rfc3339(NOON),
            "state": "failed",
            "who": "olga",
            "problem": {"type": "urn:amocrm-relay:problem:store-busy", "detail": "the store is busy"},
        }
        left = {"operation": "purge", "began_at": rfc3339(NOON - MINUTE), "state": "running", "who": "ann"}
        newer = {"operation": 7}
        await store.publish(REPORT, {OTHER: left, ONE: failed, DONE: newer}, now=NOON)

    refill(fill)


def test_acts_are_listed_newest_first_with_what_became_of_them(run: Run, begun: None) -> None:
    first, second = json.loads(run("acts", "--json").stdout)["data"]
    assert (first["act"], first["state"], first["count"], first["who"]) == (ONE, "failed", 7, "olga")
    assert (second["act"], second["state"], second["operation"]) == (OTHER, "interrupted", "purge")
    shown = run("acts").stdout
    assert "the store is busy" in shown
    assert "replay" in shown and "interrupted" in shown and "target=warehouse" in shown
    assert len(run("acts", "--json=lines").stdout.splitlines()) == 2


def test_none_under_way_is_said(run: Run, begun: None) -> None:
    ended = run("acts", "--running")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "no act is under way\n")


def test_one_act_is_shown_with_why_it_failed(run: Run, begun: None) -> None:
    shown = run("acts", "show", ONE).stdout
    assert "failed" in shown and "the store is busy" in shown and "olga" in shown
    assert json.loads(run("acts", "show", ONE, "--json").stdout)["asked"] == "target=warehouse"


def test_an_unknown_act_is_said(run: Run, begun: None) -> None:
    ended = run("acts", "show", "nothing")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no act 'nothing' was begun of late: see relay audit\n")


def test_an_act_that_has_ended_is_not_stopped(run: Run, begun: None) -> None:
    for id_, state in ((ONE, "failed"), (OTHER, "interrupted")):
        ended = run("acts", "stop", id_)
        assert (ended.exit_code, ended.stderr) == (1, f"relay: this act is {state}\n")


def test_a_flag_before_the_command_is_misuse_for_it_would_not_count(run: Run, begun: None) -> None:
    ended = run("acts", "--relay", "http://127.0.0.1:1", "stop", ONE)
    assert ended.exit_code == 2
    assert "--relay stands behind stop, with its ID" in ended.stderr
