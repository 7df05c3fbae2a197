"""`relay purge`, `relay backup` and `relay audit`: what they change or copy, and what they say of it."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

from relay.operations.purge import AGES
from relay.store.contract import Archive
from tests.cli.conftest import (
    CALL,
    CONTACT,
    CYRILLIC,
    GARBLED,
    MINUTE,
    NOON,
    OFFER,
    OK,
    ROUTES,
    Run,
    Use,
    on_terminal,
    plain,
    settle,
)

ALL = [OFFER, CALL, CONTACT, GARBLED, CYRILLIC]
EVERY_STATE = [word for name in AGES for word in ("--state", name)]


def left(run: Run) -> list[str]:
    return [id_ for id_ in ALL if run("show", id_).exit_code == 0]


def audit(run: Run) -> list[dict]:
    return json.loads(run("audit", "--json").stdout)


# ---- purge


def test_what_is_older_goes_but_never_with_a_pending_delivery(run: Run, kept: Path) -> None:
    run("replay", "--all-dead")  # the offer is pending again, as are the call and the contact
    ended = run("purge", "--older-than", "1ms", *EVERY_STATE)
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["STATE", "WEBHOOKS"],
        ["unparsed", "2"],
        ["purged", "2"],
    ]
    assert left(run) == [OFFER, CALL, CONTACT]


def test_only_what_was_asked_for_goes(run: Run, kept: Path) -> None:
    assert run("purge", "--older-than", "1ms", "--state", "delivered").stdout == "purged 0\n"
    assert left(run) == ALL
    run("purge", "--older-than", "1ms", "--state", "dead", "--state", "delivered")
    assert left(run) == ALL[1:]


def test_by_an_age_alone_goes_nothing_that_is_dead_or_unparsed(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    async def deliver_the_call(store: Archive) -> None:
        [call] = await store.claim("sales-bot", limit=1, max_bytes=1, now=NOON + MINUTE, lease=MINUTE)
        await settle(store, call, OK)

    refill(deliver_the_call)
    ended = run("purge", "--older-than", "1ms")
    assert [line.split() for line in ended.stdout.splitlines()[1:]] == [["delivered", "1"], ["purged", "1"]]
    assert left(run) == [OFFER, CONTACT, GARBLED, CYRILLIC]
    assert audit(run)[0]["details"] == {"delivered": "0:00:00.001000", "unrouted": "0:00:00.001000"}


def test_a_dry_run_counts_and_deletes_nothing(run: Run, kept: Path) -> None:
    assert run("purge", "--older-than", "1ms", *EVERY_STATE, "--dry-run").stdout.splitlines()[-1] == "would purge 3"
    assert left(run) == ALL
    assert audit(run) == []


def test_without_an_age_the_routes_file_says_it(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES + "retention: {unparsed: forever, dead: forever}\n")
    assert run("purge").exit_code == 0
    assert left(run) == ALL


def test_what_goes_is_in_the_archive_that_the_routes_file_names_or_a_flag(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES + "retention: {archive: old}\n")
    assert run("purge", "--older-than", "1ms", "--state", "unparsed").stdout.endswith("purged 2\n")
    assert archived(folder / "old") == {GARBLED, CYRILLIC}, "beside the routes file"
    assert run("purge", "--older-than", "1ms", *EVERY_STATE, "--archive", "other").stdout.endswith("purged 1\n")
    assert archived(folder / "other") == {OFFER}


def test_what_cannot_be_archived_stays_and_one_line_says_why(run: Run, kept: Path, folder: Path) -> None:
    (folder / "old").touch()
    ended = run("purge", "--older-than", "1ms", *EVERY_STATE, "--archive", "old/archive")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("relay: the archive cannot be written, so nothing is purged: ")
    assert ended.stderr.count("\n") == 1
    assert left(run) == ALL


def test_a_routes_file_that_cannot_be_read_may_name_an_archive_so_nothing_goes(
    run: Run, kept: Path, folder: Path
) -> None:
    (folder / "routes.yaml").write_text(ROUTES + "retention: {archiv: old}\n")
    ended = run("purge", "--older-than", "1ms", *EVERY_STATE)
    assert (ended.exit_code, "retention.archiv" in ended.stderr) == (1, True)
    assert left(run) == ALL


def archived(folder: Path) -> set[str]:
    [file] = folder.iterdir()
    with gzip.open(file) as lines:
        return {json.loads(line)["webhook"]["id"] for line in lines}


def test_an_age_is_a_duration(run: Run, kept: Path) -> None:
    ended = run("purge", "--older-than", "yesterday")
    assert (ended.exit_code, "must be a duration like" in ended.stderr) == (2, True)


# ---- backup


def test_a_backup_is_made_and_reported(run: Run, kept: Path, folder: Path) -> None:
    ended = run("backup", "copy.db")
    assert re.fullmatch(
        r"copy\.db: \d+ bytes, verified: 5 webhooks, 3 events, 4 deliveries, 4 attempts\n", ended.stdout
    )
    assert json.loads(run("list", "--json", "--store", "sqlite:///copy.db").stdout) == json.loads(
        run("list", "--json").stdout
    )


def test_a_backup_that_is_there_is_overwritten_only_by_force(run: Run, kept: Path, folder: Path) -> None:
    run("backup", "copy.db")
    refused = run("backup", "copy.db")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "relay: copy.db is there already: name another file, or overwrite it with --force\n",
    )
    assert run("backup", "copy.db", "--force").exit_code == 0


# ---- audit


def test_the_audit_says_who_did_what_to_how_many(run: Run, kept: Path) -> None:
    run("replay", "--target", "warehouse", "--since", "2026-11-22T12:00:00Z")
    run("pause", "warehouse", "--reason", "upgrade")
    run("purge", "--older-than", "1ms", "--state", "unparsed")
    acts = audit(run)
    assert [(each["command"], each["count"], each["details"]) for each in acts] == [
        ("purge", 2, {"unparsed": "0:00:00.001000"}),
        ("pause", 1, {"target": "warehouse", "reason": "upgrade"}),
        ("replay", 1, {"states": ["dead"], "target": "warehouse", "since": "2026-11-22T12:00:00.000Z"}),
    ]
    assert all(re.fullmatch(r"\S+@\S+", each["who"]) for each in acts)
    shown = run("audit", "--limit", "1").stdout.splitlines()
    assert (len(shown), shown[1].split()[-3:]) == (2, ["purge", "2", "unparsed=0:00:00.001000"])


def test_the_audit_is_asked_for_a_person_or_a_command_page_by_page(run: Run, kept: Path) -> None:
    for _ in range(2):
        run("pause", "warehouse")
        run("resume", "warehouse")
    who = audit(run)[0]["who"]
    assert [each["command"] for each in json.loads(run("audit", "--command", "pause", "--json").stdout)] == [
        "pause"
    ] * 2
    assert len(json.loads(run("audit", "--who", who, "--json").stdout)) == 4
    assert run("audit", "--who", "nobody").stderr == "nothing was done by hand that fits\n"
    first = run("audit", "--limit", "3")
    assert first.stdout.count("\n") == 4
    cursor = first.stderr.removeprefix("more: --before ").strip()
    assert run("audit", "--before", cursor, "--json").stdout.count('"pause"') == 1


def test_the_audit_fits_80_columns(run: Run, kept: Path) -> None:
    run("replay", "--target", "warehouse", "--since", "2026-11-22T12:00:00Z", "--entity", "leads", "--action", "status")
    assert max(map(len, plain(on_terminal("audit")))) <= 80


def test_where_nothing_was_done_the_audit_says_so(run: Run, kept: Path) -> None:
    ended = run("audit")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "nothing was done by hand\n")
