"""`relay status` and `relay list`: what they show of a store, to people at 80 columns and to programs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.amocrm import form, samples
from relay.store.contract import Archive
from tests.cli.conftest import (
    CALL,
    CONTACT,
    CYRILLIC,
    GARBLED,
    MINUTE,
    NOON,
    OFFER,
    ROUTES,
    Run,
    Use,
    event_of,
    keep,
    on_terminal,
)


def listed(run: Run, *arguments: str) -> list[tuple[str, str]]:
    ended = run("list", "--json", *arguments)
    assert ended.exit_code == 0, ended.output
    return [(each["event"], each["target"]) for each in json.loads(ended.stdout)]


OFFERS = [(event_of(OFFER), "sales-bot"), (event_of(OFFER), "warehouse")]
CALLS = [(event_of(CALL), "sales-bot")]
CONTACTS = [(event_of(CONTACT), "warehouse")]


# ---- status


def test_status_shows_targets_and_webhooks(run: Run, kept: Path) -> None:
    lines = [line.split() for line in run("status").stdout.splitlines()]
    assert lines[0] == ["TARGET", "PENDING", "DEAD", "OLDEST", "STATE", "IN", "ROUTES"]
    assert (lines[1][:3], lines[1][-1]) == (["sales-bot", "1", "0"], "yes")
    assert lines[2][:3] == ["warehouse", "1", "1"]
    assert lines[4][:3] == ["last", "webhook", "2026-11-22T12:00:00.000Z,"]
    assert lines[5][:2] == ["unparsed", "2,"]
    assert lines[6] == ["daemon", "not", "running"]


def test_a_target_that_the_routes_file_no_longer_names_is_still_shown(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("sales-bot", "new-bot"))
    standing = {each["target"]: each for each in json.loads(run("status", "--json").stdout)["targets"]}
    assert {name: each["in_routes"] for name, each in standing.items()} == {
        "new-bot": True,
        "sales-bot": False,
        "warehouse": True,
    }
    assert standing["sales-bot"]["oldest_at"] == "2026-11-22T12:00:00.000Z"
    assert "no longer" in run("status").stdout


def test_status_works_without_a_routes_file(run: Run, kept: Path) -> None:
    ended = run("status", "-c", "nowhere.yaml", "--json")
    assert ended.exit_code == 0
    assert {each["in_routes"] for each in json.loads(ended.stdout)["targets"]} == {None}
    assert "relay check" in ended.stderr


# ---- list


def test_deliveries_are_listed_newest_first(run: Run, kept: Path) -> None:
    assert listed(run) == [*CONTACTS, *CALLS, *OFFERS]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--state", "dead"], OFFERS[1:]),
        (["--state", "dead", "--state", "delivered"], OFFERS),
        (["--target", "warehouse"], [*CONTACTS, OFFERS[1]]),
        (["--route", "talks-to-us"], CALLS),
        (["--entity", "leads"], [*CALLS, *OFFERS]),
        (["--action", "add"], CONTACTS),
        (["--id", "77"], CALLS),
        (["--pipeline", "752662"], [*CALLS, *OFFERS]),
        (["--since", "2026-11-22T12:00:00Z"], [*CONTACTS, *CALLS, *OFFERS]),
        (["--since", "2026-11-22T12:00:01Z"], []),
        (["--until", "2026-11-22T12:00:00Z"], []),
        (["--target", "warehouse", "--state", "pending"], CONTACTS),
    ],
)
def test_each_filter_narrows(run: Run, kept: Path, arguments: list[str], expected: list[tuple[str, str]]) -> None:
    assert listed(run, *arguments) == expected


def test_paging_skips_nothing_also_within_an_event(run: Run, kept: Path) -> None:
    seen: list[tuple[str, str]] = []
    before: list[str] = []
    while page := json.loads(run("list", "--json", "--limit", "1", *before).stdout):
        seen += [(each["event"], each["target"]) for each in page]
        before = ["--before", str(page[-1]["seq"])]
    assert seen == [*CONTACTS, *CALLS, *OFFERS]


def test_a_full_page_says_how_to_go_on(run: Run, kept: Path) -> None:
    assert run("list", "--limit", "1").stderr == "more: --before 3\n"
    assert run("list").stderr == ""
    assert run("list", "--target", "nobody").stderr == "no deliveries\n"


def test_into_a_pipe_a_delivery_is_one_plain_line(run: Run, kept: Path) -> None:
    lines = run("list", "--state", "dead").stdout.splitlines()
    assert lines[1].split() == [
        event_of(OFFER), "2026-11-22T12:00:00.000Z", "leads.status", "4831596", "warehouse", "dead", "2",
        "400", "is", "in", "dead_on",
    ]  # fmt: skip


def test_a_list_fits_80_columns_with_ids_that_show_accepts(run: Run, kept: Path) -> None:
    lines = plain(on_terminal("list"))
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == [CALL[:18], "11-22", "12:00:00", "leads.call_in", "77", "sales-bot", "pending"]
    assert len(lines) == 5, "a delivery a line"
    assert [run("show", line.split()[0]).exit_code for line in lines[1:]] == [0, 0, 0, 0]


def test_a_wide_terminal_shows_whole_ids_and_what_is_next(kept: Path) -> None:
    shown = on_terminal("list", columns=160)
    assert event_of(CALL) in shown
    assert "attempt 2 is due" in shown
    assert "400 is in dead_on" in shown


def test_ids_of_one_millisecond_are_shown_long_enough(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    twins = [f"019ab000-0009-7000-8000-0000000{n}0000" for n in (1, 2)]

    async def use(store: Archive) -> None:
        for twin in twins:
            await keep(store, twin, form.encode(samples.body("leads.mail_in")), received_at=NOON + MINUTE)

    refill(use)
    lines = plain(on_terminal("list", "--action", "mail_in"))
    starts = [line.split()[0] for line in lines if line.startswith("019")]
    assert len(set(starts)) == 2
    assert [run("show", start).exit_code for start in starts] == [0, 0]


def test_unparsed_webhooks_are_listed_with_their_reasons(run: Run, kept: Path) -> None:
    webhooks = json.loads(run("list", "--unparsed", "--json").stdout)
    assert [each["id"] for each in webhooks] == [GARBLED, CYRILLIC]
    assert [each["body"] for each in webhooks] == ["hello\x1b[31m", None]
    plain_lines = run("list", "--unparsed").stdout.splitlines()
    assert plain_lines[2].split()[:4] == [CYRILLIC, "2026-11-22T12:00:00.000Z", "crm", "1175"]
    assert plain_lines[2].endswith("  not UTF-8: byte 0xc0")
    assert max(map(len, plain(on_terminal("list", "--unparsed")))) <= 80


def test_unparsed_webhooks_are_paged_by_their_ids(run: Run, kept: Path) -> None:
    first = run("list", "--unparsed", "--limit", "1")
    assert first.stderr == f"more: --after {GARBLED}\n"
    [second] = json.loads(run("list", "--unparsed", "--json", "--after", GARBLED).stdout)
    assert second["id"] == CYRILLIC


@pytest.mark.parametrize(
    "arguments",
    [
        ["--unparsed", "--target", "bot"],
        ["--unparsed", "--state", "dead"],
        ["--unparsed", "--before", "7"],
        ["--after", "x"],
        ["--state", "open"],
        ["--limit", "0"],
        ["--since", "soon"],
    ],
)
def test_what_does_not_go_together_is_misuse(run: Run, kept: Path, arguments: list[str]) -> None:
    assert run("list", *arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["list"], ["list", "--unparsed"], ["status"]])
def test_nothing_of_a_payload_steers_the_terminal(kept: Path, arguments: list[str]) -> None:
    coloured = on_terminal(*arguments)
    assert "\x1b[31m" not in coloured.replace("\x1b[31mdead", "").replace("\x1b[31m   1", "")


def plain(shown: str) -> list[str]:
    """The lines without their colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\r\n")[:-1]
