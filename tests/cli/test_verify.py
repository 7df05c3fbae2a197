"""`relay verify`: what it says to people and to programs, and what accepting a loss does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from relay.store.sqlite.lock import Lock
from tests.cli.conftest import CALL, NOON, OFFER, Run, Use, event_of, unread


def spoil(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


@pytest.fixture
def shorter(kept: Path, refill: Callable[[Use], None]) -> Path:
    """The store without the webhook that came last."""
    before = kept.read_bytes()
    webhook = replace(unread("019ab000-0009-7000-8000-000000000000", b"x", "odd"), received_at=NOON)
    refill(lambda store: store.keep(webhook, []))
    kept.write_bytes(before)
    return kept


def test_a_sound_store_takes_two_lines_and_exit_code_0(run: Run, kept: Path) -> None:
    ended = run("verify")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["looked at 5 webhooks and 3 events", "relay.db is sound"]
    document = json.loads(run("verify", "--json").stdout)
    assert document["sound"] is True
    assert document["events"] == {"checked": 3, "without_checksum": 0, "corrupt": []}


def test_what_is_corrupt_is_named_with_what_to_do(run: Run, kept: Path) -> None:
    spoil(kept, f"update events set payload = '{{]' where id = '{event_of(OFFER)}'")
    spoil(kept, f"update webhooks set body = 'x' where id = '{CALL}'")
    ended = run("verify")
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    assert f"corrupt event {event_of(OFFER)}" in lines
    assert f"corrupt webhook {CALL}" in lines
    assert any("reason corrupt" in line for line in lines)
    assert lines[-1] == "relay.db is not sound"
    document = json.loads(run("verify", "--json").stdout)
    assert (document["sound"], document["events"]["corrupt"]) == (False, [event_of(OFFER)])


def test_other_commands_say_so_too_and_do_not_trip(run: Run, kept: Path) -> None:
    spoil(kept, f"update events set payload = '{{]' where id = '{event_of(OFFER)}'")
    spoil(kept, "update webhooks set body = 'x' where unparsed is not null")
    shown = run("show", OFFER)
    assert (shown.exit_code, "corrupt: not the JSON that was stored" in shown.stdout) == (0, True)
    document = json.loads(run("show", OFFER, "--json").stdout)["events"][0]
    assert (document["id"], document["event"], document["corrupt"]) == (event_of(OFFER), None, True)
    explained = run("explain", OFFER)
    assert (explained.exit_code, explained.stderr) == (1, f"relay: {OFFER} is corrupt in the store, see relay verify\n")
    reread = run("reparse")
    assert (reread.exit_code, reread.stdout.count("is corrupt, see relay verify")) == (1, 2)
    assert run("list", "--pipeline", "1").exit_code == 0
    copied = run("backup", "copy.db")
    assert (copied.exit_code, "3 corrupt in the store, and so in the copy" in copied.stderr) == (0, True)


def test_a_loss_is_reported_until_it_is_accepted_and_that_is_audited(run: Run, shorter: Path) -> None:
    ended = run("verify")
    assert ended.exit_code == 1
    assert "missing: at most 1 webhook that was answered 200, that came after 2026-11-22T12:00:00.000Z" in ended.stdout
    assert "relay verify --accept-loss" in ended.stdout
    accepted = run("verify", "--accept-loss")
    assert accepted.exit_code == 0
    assert accepted.stdout.splitlines()[0] == "accepted that at most 1 webhook is missing; see relay audit"
    assert run("verify").exit_code == 0
    [act] = json.loads(run("audit", "--json").stdout)
    assert (act["command"], act["count"]) == ("verify --accept-loss", 1)


def test_beside_a_daemon_the_loss_is_the_one_that_it_noticed(
    run: Run, shorter: Path, refill: Callable[[Use], None]
) -> None:
    refill(lambda store: store.losses())  # which is a start
    daemon = Lock(shorter)
    status = run("status").stdout
    accepted = run("verify", "--accept-loss", "--json")
    daemon.release()
    assert "missing       at most 1 that were answered 200, see relay verify" in status
    assert (accepted.exit_code, json.loads(accepted.stdout)["accepted"]) == (0, 1)
    assert "missing" not in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["webhooks"]["lost"] == 0


def test_there_is_nothing_to_accept_in_a_sound_store(run: Run, kept: Path) -> None:
    ended = run("verify", "--accept-loss")
    assert (ended.exit_code, "accepted" in ended.stdout) == (0, False)
    assert json.loads(run("audit", "--json").stdout) == []


def test_accepting_a_loss_mends_no_damage(run: Run, shorter: Path) -> None:
    spoil(shorter, f"update events set payload = '{{]' where id = '{event_of(OFFER)}'")
    assert run("verify", "--accept-loss").exit_code == 1


def test_without_a_store_there_is_nothing_to_look_at(run: Run) -> None:
    ended = run("verify")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == "relay: no store at relay.db: start `relay run`, or name the store with --store\n"
