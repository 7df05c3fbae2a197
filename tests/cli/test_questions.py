"""`relay attempts`, `relay story`, `relay list --refused` and `--by type`: daily questions in one command each."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from relay.model import Health
from relay.store.contract import Archive
from relay.store.question_records import RefusedMinute
from relay.store.records import HealthReport
from tests.cli.conftest import CALL, NOON, OFFER, Run, Use, event_of


def rows(run: Run, *arguments: str) -> list[list[str]]:
    ended = run(*arguments)
    assert ended.exit_code == 0, ended.output
    return [line.split() for line in ended.stdout.splitlines()]


def test_what_failed_is_listed_with_the_error(run: Run, kept: Path) -> None:
    [heading, *lines] = rows(run, "attempts", "--failed")
    assert heading == ["STARTED", "UTC", "EVENT", "ID", "TARGET", "ATTEMPT", "TOOK", "VERDICT", "ANSWER"]
    busy = ["503:", "\\u001b[31mcome", "back", "later"]
    assert [(line[3], line[4], line[5], line[9:]) for line in lines] == [
        (event_of(CALL), "sales-bot", "1", busy),
        (event_of(OFFER), "warehouse", "2", ["400:", "bad", "price"]),
        (event_of(OFFER), "warehouse", "1", busy),
    ]


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ([], 4),
        (["--target", "warehouse"], 2),
        (["--failed", "--reason", "4xx"], 1),
        (["--since", "2026-11-22T12:00:00Z", "--until", "2026-11-22T12:00:01Z"], 4),
        (["--until", "2026-11-22T12:00:00Z"], 0),
        (["--slower", "11ms"], 4),
        (["--slower", "12ms"], 0),
        (["--slower", "11ms", "--target", "warehouse", "--failed"], 2),
        (["--limit", "2"], 2),
    ],
)
def test_attempts_are_narrowed(run: Run, kept: Path, arguments: list[str], number: int) -> None:
    assert len(json.loads(run("attempts", "--json", *arguments).stdout)["data"]) == number


def test_no_attempts_are_told_apart_from_an_unknown_target(run: Run, kept: Path) -> None:
    ended = run("attempts", "--failed", "--target", "warehuose")
    assert ended.stderr.splitlines() == ["no attempt failed", "no target 'warehuose' (did you mean 'warehouse'?)"]
    refused = run("attempts", "--since", "1h", "--until", "2h")
    assert (refused.exit_code, "no attempt begins between --since" in refused.stderr) == (2, True)
    assert "--before" in run("attempts", "--before", "nonsense").stderr


def test_how_slow_is_written_as_durations_in_the_routes_file(run: Run, kept: Path) -> None:
    refused = run("attempts", "--slower", "1.5s")
    assert (refused.exit_code, "'1.5s' must be a duration like 200ms, 2s" in refused.stderr) == (2, True)
    [_, line, *_] = rows(run, "attempts", "--slower", "11ms")
    assert line[6:8] == ["12", "ms"]


def test_did_this_lead_reach_that_target(run: Run, kept: Path) -> None:
    [heading, line] = rows(run, "story", "leads", "4831596")
    assert heading == ["ARRIVED", "UTC", "EVENT", "sales-bot", "warehouse", "ID"]
    assert line == [
        "2026-11-22T12:00:00.000", "status", "delivered", "dead:", "400:", "bad", "price", event_of(OFFER),
    ]  # fmt: skip
    told = json.loads(run("story", "leads", "4831596", "--json").stdout)
    assert (told["entity"], told["id"], told["targets"]) == ("leads", "4831596", ["sales-bot", "warehouse"])
    [event] = told["data"]
    assert {each["target"]: each["state"] for each in event["deliveries"]} == {
        "sales-bot": "delivered",
        "warehouse": "dead",
    }
    assert event["deliveries"][1]["last_attempt"]["detail"] == "bad price"


def test_an_object_without_events_has_no_story(run: Run, kept: Path) -> None:
    assert run("story", "leads", "1").stderr == "no events of leads 1\n"
    assert "did you mean 'leads'" in run("story", "leeds", "1").stderr


def test_an_event_that_no_route_took_stands_in_the_story(run: Run, unrouted: None) -> None:
    lines = run("list", "--unrouted").stdout.splitlines()[1:]
    _id, _at, _source, what, id_ = lines[0].split()[:5]
    told = run("story", what.partition(".")[0], id_).stdout
    assert "no route" in told


def test_what_no_rule_takes_is_counted_by_kind(run: Run, unrouted: None) -> None:
    events = json.loads(run("list", "--unrouted", "--json").stdout)["data"]
    told = json.loads(run("list", "--unrouted", "--by", "type", "--json").stdout)
    assert sum(each["count"] for each in told["types"]) == len(events) > 0
    [heading, *lines] = rows(run, "list", "--unrouted", "--by", "type")
    assert heading[:2] == ["TYPE", "EVENTS"]
    assert {(line[0], int(line[1])) for line in lines} == {(each["type"], each["count"]) for each in told["types"]}
    assert run("list", "--by", "type").exit_code == 2


def test_what_was_refused_is_listed(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    assert run("list", "--refused").stderr == "no request was refused\n"
    minute = RefusedMinute(
        minute=NOON,
        source="crm",
        reason="too_large",
        count=3,
        last_at=NOON + timedelta(seconds=7),
        detail="5 MiB",
        remote="192.0.2.7",
    )

    async def record(store: Archive) -> None:
        await store.questions.record_refused([minute])

    refill(record)
    [_heading, line] = rows(run, "list", "--refused")
    assert line == ["2026-11-22T12:00:00.000", "crm", "too_large", "3", "192.0.2.7:", "5", "MiB"]
    [told] = json.loads(run("list", "--refused", "--json").stdout)["data"]
    assert (told["count"], told["last_at"]) == (3, "2026-11-22T12:00:07.000Z")
    assert run("list", "--refused", "--source", "b2b").stderr == "no request was refused\n"
    assert run("list", "--refused", "--target", "warehouse").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--source", "crm"], 4),
        (["--source", "b2b"], 0),
        (["--account", "1"], 0),
        (["--reason", "4xx"], 1),
        (["--settled-since", "2026-11-22T12:00:00Z"], 2),
        (["--settled-until", "2026-11-22T12:00:00Z"], 0),
    ],
)
def test_deliveries_are_narrowed_by_what_became_of_them(run: Run, kept: Path, arguments: list[str], found: int) -> None:
    assert len(json.loads(run("list", "--json", *arguments).stdout)["data"]) == found


def test_a_listing_has_the_error_of_the_last_attempt(run: Run, kept: Path) -> None:
    [dead] = json.loads(run("list", "--json", "--state", "dead").stdout)["data"]
    assert (dead["last_attempt"]["status"], dead["last_attempt"]["detail"]) == (400, "bad price")


def test_a_monitor_without_prometheus_gets_an_exit_code_and_one_line(run: Run, kept: Path) -> None:
    checked = run("status", "--check")
    [line] = checked.stdout.splitlines()
    assert (checked.exit_code, checked.stderr) == (2, "")
    assert line.startswith("CRITICAL: no daemon runs; ")
    assert "warehouse: 1 dead" in line
    kept.unlink()
    gone = run("status", "--check")
    assert (gone.exit_code, gone.stdout.startswith("CRITICAL: ")) == (2, True)
    assert run("status", "--check", "--json").exit_code == 2


def test_a_status_shows_the_rate_and_the_last_success_of_each_target(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    assert "LAST OK" not in run("status").stdout
    report = HealthReport(health=Health.OK, since=NOON, as_of=NOON, delivered_at=NOON, rate=2.5)
    refill(lambda store: store.publish_health({"warehouse": report}))
    shown = run("status").stdout
    assert "LAST OK" in shown
    told = {each["target"]: each["breaker"] for each in json.loads(run("status", "--json").stdout)["targets"]}
    assert told["warehouse"]["delivered_at"] == "2026-11-22T12:00:00.000Z"
    assert told["warehouse"]["rate"] is None, "no daemon runs"
