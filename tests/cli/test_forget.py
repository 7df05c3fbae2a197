"""`relay forget`: what it prints, what it leaves, and what it refuses."""

import json
from pathlib import Path

from tests.cli.conftest import CONTACT, Run


def about(run: Run) -> tuple[str, str]:
    """Entity and id of the event of a contact."""
    shown = json.loads(run("show", CONTACT, "--json").stdout)
    event = shown["events"][0]["event"]
    return event["entity"], str(event["data"]["id"])


def test_a_dry_run_says_what_would_go_and_leaves_it(run: Run, kept: Path) -> None:
    entity, id_ = about(run)
    before = run("show", CONTACT).stdout
    ended = run("forget", "--entity", entity, "--id", id_, "--dry-run")
    assert ended.exit_code == 0
    assert f"would erase 1 event of {entity}/{id_} in 1 webhook\n" in ended.stdout
    assert "out of reach: " in ended.stderr
    assert run("show", CONTACT).stdout == before


def test_what_is_erased_keeps_its_ids_and_the_audit_has_a_receipt(run: Run, kept: Path) -> None:
    entity, id_ = about(run)
    ended = run("forget", "--entity", entity, "--id", id_, "--now", "--json")
    assert ended.exit_code == 0
    done = json.loads(ended.stdout)
    assert (done["webhooks"], done["dry_run"], done["waits_for"]) == (1, False, [])
    shown = json.loads(run("show", CONTACT, "--json").stdout)
    assert set(shown["events"][0]["event"]["data"]) <= {"id", "type"}
    [receipt] = [each for each in json.loads(run("audit", "--json").stdout) if each["command"] == "forget"]
    assert receipt["details"]["who"] == [f"{entity}/{id_}"]
    assert run("verify").exit_code == 0


def test_a_word_that_is_no_entity_is_refused_with_a_suggestion(run: Run, kept: Path) -> None:
    ended = run("forget", "--entity", "contact", "--id", "7")
    assert ended.exit_code == 1
    assert ended.stderr == "relay: no entity 'contact' (did you mean 'contacts'?)\n"


def test_nothing_found_is_said_so(run: Run, kept: Path) -> None:
    ended = run("forget", "--entity", "contacts", "--id", "1", "--dry-run")
    assert (ended.exit_code, ended.stdout) == (0, "would erase 0 events of contacts/1 in 0 webhooks\n")
