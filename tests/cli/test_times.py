"""Times for people: local in and out, with the zone beside them; a time that a table shows works in --since."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.amocrm import form, sample_bodies
from relay.cli.times import Instant, Times, local, short, zone
from relay.operations.written_times import instant
from relay.store.contract import Archive
from tests.cli.conftest import Run, Use, keep, on_terminal, plain, use_zone

MOSCOW = "MSK-3"
SAO_PAULO = "BRT+3"
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"  # by POSIX's rules: needs no data of zones
DELHI = "IST-5:30"
NO_DATA = "Europe/Nowhere"

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    yield lambda name: use_zone(name, monkeypatch)
    monkeypatch.undo()
    time.tzset()


# ---- in


@pytest.mark.parametrize(
    ("text", "in_moscow"),
    [
        ("2026-11-22T10:53:00Z", "2026-11-22T10:53:00Z"),
        ("2026-11-22T13:53:00+03:00", "2026-11-22T10:53:00Z"),
        ("2026-11-22 13:53:00 +03", "2026-11-22T10:53:00Z"),
        ("11-22 10:53:00Z", "2026-11-22T10:53:00Z"),
        ("11-22 10:53 UTC", "2026-11-22T10:53:00Z"),
        ("20261122T105300Z", "2026-11-22T10:53:00Z"),
        ("2026-11-22T13:53:00.123", "2026-11-22T10:53:00.123Z"),
        ("2026-11-22 13:53", "2026-11-22T10:53:00Z"),
        ("2026-11-22", "2026-11-21T21:00:00Z"),
        ("11-22 13:53:00", "2026-11-22T10:53:00Z"),
        ("11-22", "2026-11-21T21:00:00Z"),
        ("12-24 18:00", "2025-12-24T15:00:00Z"),
        ("02-29", "2024-02-28T21:00:00Z"),
        ("10:00", "2026-11-29T07:00:00Z"),
        ("9:00:30", "2026-11-29T06:00:30Z"),
        ("today", "2026-11-28T21:00:00Z"),
        ("yesterday", "2026-11-27T21:00:00Z"),
        ("yesterday 23:30", "2026-11-28T20:30:00Z"),
    ],
)
def test_a_time_is_local_unless_it_says_otherwise(text: str, in_moscow: str, use: Callable[[str], None]) -> None:
    use(MOSCOW)
    assert instant(text, NOW) == datetime.fromisoformat(in_moscow)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("45s", timedelta(seconds=45)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
        ("1w2d", timedelta(days=9)),
    ],
)
def test_an_age_is_counted_back_from_now(text: str, age: timedelta) -> None:
    assert instant(text, NOW) == NOW - age


@pytest.mark.parametrize(
    "text",
    ["", "soon", "h", "-h", "-2h", "9999999999d", "2026-13-01", "02-30", "nan", "infd", "25:00", "10:0", "1h 30m", "Z",
     "2026-11-22T", "yesterday noon", "٢h", "0001-01-01", "2026", "10"],
)  # fmt: skip
def test_what_is_no_time_is_misuse(text: str, run: Run, kept: Path, use: Callable[[str], None]) -> None:
    use(MOSCOW)  # where the year 1 begins before there is a time
    ended = run("list", "--since", text)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "is neither a time like" in ended.stderr


def test_a_time_before_the_calendar_of_this_zone_is_misuse(run: Run, kept: Path, use: Callable[[str], None]) -> None:
    use(SAO_PAULO)
    ended = run("list", "--since", "0001-01-01T00:00:00Z", "--until", "0001-01-01T00:00:00Z")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "is neither a time like" in ended.stderr


@pytest.mark.parametrize("flag", ["--since", "--until"])
@pytest.mark.parametrize("text", ["2099-01-01", "2099-01-01T00:00:00Z"])
def test_a_time_in_the_future_is_misuse(run: Run, kept: Path, flag: str, text: str) -> None:
    for command in (["list"], ["replay", "--dry-run"]):
        ended = run(*command, flag, text)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert f"Invalid value for '{flag}': '{text}' is in the future: it is 20" in ended.stderr


def test_an_end_before_the_beginning_is_misuse(run: Run, kept: Path) -> None:
    assert "nothing arrives between --since " in run("list", "--since", "1h", "--until", "2h").stderr


@pytest.mark.parametrize(
    ("zone_", "said"),
    [
        (MOSCOW, "2026-11-22T10:00:00.000+03:00"),
        (BERLIN, "2026-11-22T10:00:00.000+01:00"),
        (NO_DATA, "2026-11-22T10:00:00.000Z"),
    ],
)
def test_it_says_which_zone_it_took_a_time_for(
    run: Run, kept: Path, use: Callable[[str], None], zone_: str, said: str
) -> None:
    use(zone_)
    assert run("list", "--since", "2026-11-22 10:00").stderr == f"--since {said}, in the zone of this machine\n"
    assert run("list", "--since", "2026-11-22T10:00Z").stderr == ""
    assert run("list", "--since", "2000d").stderr == ""


def test_the_zones_of_the_machine_are_used_where_there_are_some(use: Callable[[str], None]) -> None:
    if not Path("/usr/share/zoneinfo/Europe/Moscow").exists():
        pytest.skip("no data of zones here")
    use("Europe/Moscow")
    assert instant("2026-11-22", NOW) == datetime(2026, 11, 21, 21, tzinfo=UTC)
    assert local(NOW) == "2026-11-29T12:30:00.000+03:00"


# ---- out


@pytest.mark.parametrize(
    ("zone_", "heading", "cell", "alone"),
    [
        (MOSCOW, "ARRIVED +03", "2026-11-29T12:30:00.000", "11-29 12:30:00+03"),
        (DELHI, "ARRIVED +05:30", "2026-11-29T15:00:00.000", "11-29 15:00:00+05:30"),
        (NO_DATA, "ARRIVED UTC", "2026-11-29T09:30:00.000", "11-29 09:30:00Z"),
    ],
)
def test_a_column_has_its_zone_in_its_heading(
    use: Callable[[str], None], zone_: str, heading: str, cell: str, alone: str
) -> None:
    use(zone_)
    times = Times([NOW, NOW - timedelta(days=300)])
    assert (times.heading("ARRIVED"), times.cell(NOW), short(NOW)) == (heading, cell, alone)
    assert zone(NOW) == heading.split()[1]


@pytest.mark.parametrize("apart", [timedelta(hours=1), timedelta(days=60), timedelta()])
def test_times_on_both_sides_of_a_change_of_the_clock_have_their_own_zones(
    use: Callable[[str], None], apart: timedelta
) -> None:
    use(BERLIN)
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 for the second time
    times = Times([second, second - apart])
    assert times.heading("ARRIVED") == "ARRIVED"
    assert [times.cell(second), times.cell(second - timedelta(hours=1))] == [
        "2026-10-25T02:30:00.000+01",
        "2026-10-25T02:30:00.000+02",
    ]


@pytest.mark.parametrize("zone_", [MOSCOW, BERLIN, DELHI, NO_DATA, "UTC"])
def test_a_time_copied_from_anywhere_is_read_as_itself(use: Callable[[str], None], zone_: str) -> None:
    use(zone_)
    for hours in range(0, 24 * 400, 7):
        at = datetime(2026, 11, 29, 8, 59, 59, tzinfo=UTC) - timedelta(hours=hours)
        again = [instant(text, NOW) for text in (Times([at]).cell(at), local(at), local(at, seconds=True))]
        assert again == [at] * 3
        if hours < 24 * 365:  # a short one is of the last twelve months
            assert instant(short(at), NOW) == at


@pytest.mark.parametrize("zone_", [MOSCOW, BERLIN, NO_DATA])
def test_a_time_copied_from_a_table_finds_its_row(
    run: Run, kept: Path, refill: Callable[[Use], None], use: Callable[[str], None], zone_: str
) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    body = form.encode(sample_bodies.body("leads.mail_in", fields={"id": "88"}))

    async def add(store: Archive) -> None:
        await keep(store, "019ab000-0009-7000-8000-000000000000", body, received_at=at)

    refill(add)
    use(zone_)
    lines = run("list", "--id", "88").stdout.splitlines()
    copied = lines[1].split()[1]
    assert copied.startswith(f"{at.astimezone():%Y-%m-%dT%H:%M:%S}")
    narrow = plain(on_terminal("list", "--id", "88"))
    for text in (copied, " ".join(narrow[1].split()[1:3])):
        assert len(json.loads(run("list", "--json", "--since", text).stdout)["data"]) == 1
    [found] = json.loads(run("list", "--json", "--since", copied).stdout)["data"]
    assert found["received_at"] == f"{at:%Y-%m-%dT%H:%M:%S.000Z}", "programs read UTC"


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--unparsed"], ["list", "--unrouted"], ["audit"], ["show", "019ab000-0002"]]
)
def test_every_table_names_the_zone(run: Run, unrouted: None, use: Callable[[str], None], arguments: list[str]) -> None:
    run("pause", "warehouse")
    use(MOSCOW)
    shown = run(*arguments).stdout
    assert "UTC" not in shown
    assert " +03" in shown.splitlines()[0] or "2026-11-22T15:00:00.000+03:00" in shown
    assert run("status").stdout.count("+03,") == 1, "the last webhook"


def test_a_container_without_data_of_zones_is_at_utc(kept: Path) -> None:
    command = [sys.executable, "-m", "relay", "list"]
    environment = {**os.environ, "TZ": "Europe/Moscow", "TZDIR": "/nowhere"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=kept.parent, env=environment)
    assert "ARRIVED UTC" in ended.stdout
    assert "2026-11-22T12:00:00.000 " in ended.stdout


def test_a_flag_that_has_its_value_already_leaves_it(use: Callable[[str], None]) -> None:
    assert Instant().convert(NOW, None, None) == NOW
