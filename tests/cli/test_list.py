"""`relay list`: what it shows of a store, to people at 80 columns and to programs."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw
import pytest

from relay.amocrm import form, sample_bodies
from relay.model import Health
from relay.store.contract import Archive
from relay.store.cursors import cursor
from relay.store.records import HealthReport
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import (
    CALL,
    CONTACT,
    CYRILLIC,
    GARBLED,
    LOST,
    MINUTE,
    NOON,
    OFFER,
    ROUTES,
    Run,
    Use,
    event_of,
    keep,
    on_terminal,
    plain,
)


def listed(run: Run, *arguments: str) -> list[tuple[str, str]]:
    ended = run("list", "--json", *arguments)
    assert ended.exit_code == 0, ended.output
    return [(each["event"], each["target"]) for each in json.loads(ended.stdout)["data"]]


BUSY = "; 503: \\u001b[31mcome back later"
"""What the last attempt of the call returned, as a table shows it."""

OFFERS = [(event_of(OFFER), "sales-bot"), (event_of(OFFER), "warehouse")]
CALLS = [(event_of(CALL), "sales-bot")]
CONTACTS = [(event_of(CONTACT), "warehouse")]


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
    pages: list[list[tuple[str, str]]] = []
    before: list[str] = []
    while not pages or before:
        page = json.loads(run("list", "--json", "--limit", "1", *before).stdout)
        pages.append([(each["event"], each["target"]) for each in page["data"]])
        before = ["--before", page["next"]] if page["next"] else []
    assert pages == [[each] for each in (*CONTACTS, *CALLS, *OFFERS)]


def test_a_page_has_as_many_deliveries_as_its_limit_says(run: Run, kept: Path) -> None:
    assert listed(run, "--limit", "3") == [*CONTACTS, *CALLS, OFFERS[0]]
    assert len(run("list", "--limit", "3").stdout.splitlines()) == 1 + 3
    assert json.loads(run("list", "--limit", "4", "--json").stdout)["next"] is None


@pytest.mark.parametrize(
    ("arguments", "cursor"),
    [
        (["--before"], "3"),
        (["--before"], "99999999999999999999999"),
        (["--before"], cursor("deliveries", (2**63, "bot"))),
        (["--before"], cursor("unparsed", (GARBLED,))),
        (["--unparsed", "--after"], GARBLED),
        (["--unparsed", "--after"], "Ж"),
        (["--unrouted", "--after"], cursor("events", ("1",))),
        (["--unrouted", "--after"], cursor("events", (True,))),
    ],
)
def test_what_is_no_cursor_of_a_listing_is_misuse(run: Run, kept: Path, arguments: list[str], cursor: str) -> None:
    ended = run("list", *arguments, cursor)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"Error: Invalid value for {arguments[-1]}: " in ended.stderr
    assert "is not a cursor of this listing: copy it from the line below the table" in ended.stderr


def test_what_is_no_cursor_of_the_audit_is_misuse_too(run: Run, kept: Path) -> None:
    ended = run("audit", "--before", "3")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "Error: Invalid value for --before: '3' is not a cursor of this listing" in ended.stderr


def test_a_full_page_says_how_to_go_on(run: Run, kept: Path) -> None:
    told = run("list", "--limit", "1").stderr
    assert told.startswith("more: --before ")
    further = run("list", "--limit", "1", *told.split()[1:])
    assert further.stdout.splitlines()[1].startswith(event_of(CALL))
    assert json.loads(run("list", "--limit", "1", "--json").stdout)["next"] == told.split()[-1]
    assert run("list").stderr == ""
    assert run("list", "--entity", "task").stderr == "no deliveries\n"


def test_into_a_pipe_a_delivery_is_one_plain_line(run: Run, kept: Path) -> None:
    lines = run("list", "--state", "dead").stdout.splitlines()
    assert lines[1].split() == [
        event_of(OFFER), "2026-11-22T12:00:00.000", "leads.status", "4831596", "warehouse", "dead", "2",
        "400", "is", "in", "dead_on;", "400:", "bad", "price",
    ]  # fmt: skip


def test_a_list_fits_80_columns_with_ids_that_show_accepts(run: Run, kept: Path) -> None:
    lines = plain(on_terminal("list"))
    assert max(map(len, lines)) <= 80
    assert lines[3].split() == [CALL[:18], "11-22", "12:00:00", "leads.call_in", "77", "sales-bot", "pending"]
    assert lines[2::2] == [
        "    1 attempt; interrupted: retried at the next start",
        f"    1 attempt; attempt 2 is due{BUSY}",
        "    1 attempt",
        "    2 attempts; 400 is in dead_on; 400: bad price",
    ]
    assert [run("show", line.split()[0]).exit_code for line in lines[1::2]] == [0, 0, 0, 0]


def test_the_state_that_was_asked_for_gives_its_room_to_the_attempts(kept: Path) -> None:
    lines = plain(on_terminal("list", "--state", "dead"))
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["ID", "ARRIVED", "UTC", "EVENT", "TARGET", "ATTEMPTS"]
    assert lines[1].split()[-2:] == ["warehouse", "2"]
    assert lines[2:] == ["    400 is in dead_on; 400: bad price"]


def test_a_list_has_the_same_headings_wherever_it_goes(run: Run, unrouted: None) -> None:
    for arguments in (["list"], ["list", "--unparsed"], ["list", "--unrouted"]):
        piped = re.split(" {2,}", run(*arguments).stdout.splitlines()[0])
        narrow, wide = (re.split(" {2,}", plain(on_terminal(*arguments, columns=n))[0].strip()) for n in (100, 190))
        assert narrow == piped[: len(narrow)]
        assert wide == piped


def test_an_id_that_is_long_pushes_no_column_away(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    body = b"leads[add][0][id]=" + b"9" * 2000

    async def use(store: Archive) -> None:
        await keep(store, "019ab000-0009-7000-8000-000000000000", body)

    refill(use)
    assert max(map(len, run("list").stdout.splitlines())) < 250
    for columns in (40, 60, 80):
        lines = plain(on_terminal("list", columns=columns))
        assert max(map(len, lines)) <= 80
        assert any(line.startswith("019ab000-0009") for line in lines)


def test_at_120_columns_a_delivery_is_one_line_with_whole_ids_and_its_note_below(run: Run, kept: Path) -> None:
    lines = plain(on_terminal("list", columns=120))
    assert max(map(len, lines)) <= 120
    assert lines[0].split() == ["ID", "ARRIVED", "UTC", "EVENT", "TARGET", "STATE", "ATTEMPTS"]
    assert [re.split(" {2,}", line) for line in lines[1:3]] == [
        [event_of(CONTACT), "2026-11-22T12:00:00.000", "contacts.add 9120034", "warehouse", "pending", "1"],
        ["", "interrupted: retried at the next start"],
    ]
    assert sum("leads.status 4831596" in line for line in lines) == 2
    assert lines[-1] == "    400 is in dead_on; 400: bad price"


@pytest.mark.parametrize("columns", [100, 120])
def test_a_type_is_not_broken_where_there_is_room_for_it(
    run: Run, kept: Path, refill: Callable[[Use], None], columns: int
) -> None:
    twins = [f"019ab000-0009-7000-8000-0000000{n}0000" for n in (1, 2)]  # their ids take 28 columns
    talk = b"unsorted[update][0][uid]=f575b754b0d1eb1c380e53d6821ffd2820a6dfbe"

    async def use(store: Archive) -> None:
        for n, twin in enumerate(twins):
            await keep(store, twin, b"companies[update][0][id]=779345%d" % n, received_at=NOON + MINUTE)
        await keep(store, "019ab000-000a-7000-8000-000000000000", talk, received_at=NOON + MINUTE)

    refill(use)
    lines = plain(on_terminal("list", columns=columns))
    assert max(map(len, lines)) <= columns
    assert sum("companies.update" in line for line in lines) == 2
    assert sum("unsorted.update" in line for line in lines) == 1


# ---- what is said of the pending


def next_steps(run: Run, *arguments: str) -> dict[str, str]:
    """Event -> its note."""
    lines = [re.split(" {2,}", line) for line in run("list", "--state", "pending", *arguments).stdout.splitlines()]
    return {line[0]: line[6] for line in lines[1:]}


def test_what_a_daemon_had_begun_is_cut_off_without_it(run: Run, kept: Path) -> None:
    assert next_steps(run)[event_of(CONTACT)] == "interrupted: retried at the next start"
    lock = Lock(kept)
    try:
        assert next_steps(run)[event_of(CONTACT)] == "attempt 1 is next"
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("in_flight", "slow", "outlook", "shown"),
    [
        (4, [event_of(CONTACT), "another"], "attempt 1 in flight", True),
        (4, ["another"], "queued behind 4 in flight", False),
        (0, [], "attempt 1 is next", False),
    ],
)
def test_what_is_claimed_waits_behind_what_is_in_flight(
    run: Run, kept: Path, in_flight: int, slow: list[str], outlook: str, shown: bool
) -> None:
    seen = HealthReport(health=Health.OK, since=NOON, as_of=NOON, in_flight=in_flight, slow=frozenset(slow))
    asyncio.run(report(kept, {"warehouse": seen}))
    assert flights(run) == {event_of(CONTACT): None, event_of(OFFER): None}, "nobody knows while no daemon runs"
    lock = Lock(kept)
    try:
        assert next_steps(run)[event_of(CONTACT)] == outlook
        assert f"warehouse  pending: {outlook}  (" in run("show", CONTACT).stdout
        assert flights(run) == {event_of(CONTACT): shown, event_of(OFFER): False}
    finally:
        lock.release()


async def report(path: Path, conditions: Mapping[str, HealthReport]) -> None:
    """Without an owner's start, which would give back what is claimed."""
    store = SqliteStore.visit(path)
    await store.publish_health(conditions)
    await store.close()


def flights(run: Run) -> dict[str, bool | None]:
    """`in_flight` of each delivery to the warehouse, which `show` says too."""
    listed = json.loads(run("list", "--json", "--target", "warehouse").stdout)["data"]
    for each in listed:
        [event] = json.loads(run("show", each["event"], "--json").stdout)["events"]
        assert [d["in_flight"] for d in event["deliveries"] if d["target"] == "warehouse"] == [each["in_flight"]]
    return {each["event"]: each["in_flight"] for each in listed}


def test_the_end_of_a_lease_is_no_time_at_which_a_delivery_is_due(run: Run, kept: Path) -> None:
    listed = json.loads(run("list", "--json", "--state", "pending").stdout)["data"]
    assert {(each["event"], each["claimed"]): each["due_at"] for each in listed} == {
        (event_of(CONTACT), True): None,
        (event_of(CALL), False): "2026-11-22T12:01:00.000Z",
    }


def test_a_delivery_to_a_target_that_is_gone_is_orphaned(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("sales-bot", "new-bot"))
    assert next_steps(run)[event_of(CALL)] == f"orphaned: no such target now{BUSY}"
    assert next_steps(run, "-c", "nowhere.yaml")[event_of(CALL)] == f"attempt 2 is due{BUSY}"


def test_a_delivery_to_a_paused_target_or_an_open_circuit_is_not_attempted(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    held = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON, error="503")
    refill(lambda store: store.publish_health({"sales-bot": held}))
    assert next_steps(run)[event_of(CALL)] == f"attempt 2 is due{BUSY}", "nobody holds it while no daemon runs"
    lock = Lock(kept)
    try:
        assert next_steps(run)[event_of(CALL)] == f"circuit open{BUSY}"
        run("pause", "sales-bot")
        assert next_steps(run)[event_of(CALL)] == f"target paused{BUSY}"
    finally:
        lock.release()


# ---- names that nothing has


def test_a_name_that_nothing_has_is_doubted(run: Run, kept: Path, folder: Path) -> None:
    said = run("list", "--target", "warehous", "--route", "offer", "--entity", "lead", "--action", "stauts").stderr
    assert said.splitlines() == [
        "no deliveries",
        "no target 'warehous' (did you mean 'warehouse'?)",
        "no route 'offer' (did you mean 'offer-made'?)",
        "no entity 'lead' (did you mean 'leads'?)",
        "no action 'stauts' (did you mean 'status'?)",
    ]


def test_a_name_that_only_the_store_knows_is_not_doubted(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").unlink()
    since = ["--since", "1m"]
    assert run("list", "--target", "sales-bot", "--route", "offer-made", *since).stderr == "no deliveries\n"
    assert run("list", "--target", "sales-bto", *since).stderr.endswith("(did you mean 'sales-bot'?)\n")


def test_a_wide_terminal_shows_whole_ids_and_what_is_next(kept: Path) -> None:
    shown = on_terminal("list", columns=190)
    assert event_of(CALL) in shown
    assert "attempt 2 is due" in shown
    assert "400 is in dead_on" in shown


def test_ids_of_one_millisecond_are_shown_long_enough(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    twins = [f"019ab000-0009-7000-8000-0000000{n}0000" for n in (1, 2)]

    async def use(store: Archive) -> None:
        for twin in twins:
            await keep(store, twin, form.encode(sample_bodies.body("leads.mail_in")), received_at=NOON + MINUTE)

    refill(use)
    lines = plain(on_terminal("list", "--action", "mail_in"))
    starts = [line.split()[0] for line in lines if line.startswith("019")]
    assert len(set(starts)) == 2
    assert [run("show", start).exit_code for start in starts] == [0, 0]


def test_unparsed_webhooks_are_listed_with_their_reasons(run: Run, kept: Path) -> None:
    webhooks = json.loads(run("list", "--unparsed", "--json").stdout)["data"]
    assert [each["id"] for each in webhooks] == [GARBLED, CYRILLIC]
    assert [each["body"] for each in webhooks] == ["hello\x1b[31m", None]
    plain_lines = run("list", "--unparsed").stdout.splitlines()
    assert plain_lines[2].split()[:4] == [CYRILLIC, "2026-11-22T12:00:00.000", "crm", "1175"]
    assert plain_lines[2].endswith("  not UTF-8: byte 0xc0")
    assert max(map(len, plain(on_terminal("list", "--unparsed")))) <= 80


def test_unparsed_webhooks_are_paged_by_cursors(run: Run, kept: Path) -> None:
    first = run("list", "--unparsed", "--limit", "1")
    assert first.stderr.startswith("more: --after ")
    [second] = json.loads(run("list", "--unparsed", "--json", *first.stderr.split()[1:]).stdout)["data"]
    assert second["id"] == CYRILLIC


def test_events_that_no_route_took_are_listed_with_what_they_are_about(run: Run, unrouted: None) -> None:
    [told] = json.loads(run("list", "--unrouted", "--json").stdout)["data"]
    assert (told["id"], told["event"]["entity"], told["corrupt"]) == (event_of(LOST), "contacts", False)
    lines = run("list", "--unrouted").stdout.splitlines()
    assert [re.split(" {2,}", line) for line in lines] == [
        ["ID", "ARRIVED UTC", "SOURCE", "EVENT"],
        [event_of(LOST), "2026-11-22T12:00:00.000", "crm", "contacts.add 78"],
    ]
    narrow = plain(on_terminal("list", "--unrouted"))
    assert max(map(len, narrow)) <= 80
    assert narrow[1].split() == [LOST[:18], "11-22", "12:00:00", "crm", "contacts.add", "78"]


def test_what_is_unrouted_is_listed_oldest_first_and_paged_by_cursors(
    run: Run, unrouted: None, folder: Path, refill: Callable[[Use], None]
) -> None:
    (folder / "routes.yaml").write_text(ROUTES.partition("  - name: everything-else")[0])
    later = LOST.replace("-0006-", "-0007-")
    refill(lambda store: keep(store, later, form.encode(sample_bodies.body("contacts.add"))))
    first = run("list", "--unrouted", "--limit", "1")
    assert first.stdout.splitlines()[1].startswith(event_of(LOST))
    assert first.stderr.startswith("more: --after ")
    [second] = json.loads(run("list", "--unrouted", "--json", *first.stderr.split()[1:]).stdout)["data"]
    assert second["id"] == event_of(later)


def test_a_filter_narrows_what_is_unrouted(run: Run, unrouted: None) -> None:
    assert (
        len(json.loads(run("list", "--unrouted", "--entity", "contacts", "--id", "78", "--json").stdout)["data"]) == 1
    )
    none = run("list", "--unrouted", "--entity", "contact")
    assert none.stderr == "no event is unrouted\nno entity 'contact' (did you mean 'contacts'?)\n"


def test_an_unrouted_event_that_is_corrupt_is_listed_as_that(run: Run, unrouted: None, kept: Path) -> None:
    connection = apsw.Connection(str(kept))
    connection.execute("update events set payload = 'gone' where id = ?", (event_of(LOST),))
    connection.close()
    assert run("list", "--unrouted").stdout.splitlines()[1].endswith("corrupt, see relay verify")
    [told] = json.loads(run("list", "--unrouted", "--json").stdout)["data"]
    assert (told["event"], told["corrupt"]) == (None, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--unrouted", "--unparsed"],
        ["--unrouted", "--target", "bot"],
        ["--unrouted", "--state", "dead"],
        ["--unrouted", "--before", "7"],
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


@pytest.mark.parametrize("arguments", [["list"], ["list", "--unparsed"], ["list", "--unrouted"], ["status"]])
def test_nothing_of_a_payload_steers_the_terminal(unrouted: None, arguments: list[str]) -> None:
    coloured = on_terminal(*arguments)
    assert "\x1b[31m" not in re.sub(r"\x1b\[31m(?=dead|1\x1b)", "", coloured)
