"""`relay access`: a token is printed once, its file and the audit say whose it is."""

import json
import re
import stat
from pathlib import Path

import pytest

from relay.operations import access
from tests.cli.conftest import Run

TOKEN = re.compile(r"rt_[0-9a-f]{8}_[0-9a-f]{40}")


@pytest.fixture
def file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELAY_ACCESS", "access.json")
    return folder / "access.json"


def test_the_token_alone_is_on_standard_output(run: Run, file: Path) -> None:
    ended = run("access", "add", "olga", "--role", "viewer", "--expires", "90d")
    assert ended.exit_code == 0, ended.output
    assert TOKEN.fullmatch(ended.stdout.strip())
    said, audited = ended.stderr.splitlines()
    assert re.fullmatch(r"the token of olga, viewer, until 20[-0-9T:]+Z; it is shown this once", said)
    assert audited.startswith("not in relay audit: no store at relay.db")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_was_done_is_in_the_audit_without_the_token(run: Run, file: Path, kept: Path) -> None:
    printed = [
        run("access", "add", "olga", "--role", "viewer", "--payloads").stdout.strip(),
        run("access", "rotate", "olga", "--expires", "1d").stdout.strip(),
    ]
    assert run("access", "remove", "olga").exit_code == 0
    acts = json.loads(run("audit", "--json").stdout)
    assert [each["command"] for each in acts][:3] == ["access remove", "access rotate", "access add"]
    assert acts[2]["details"] == {"name": "olga", "role": "viewer", "id": printed[0][3:11], "payloads": True}
    assert acts[0]["details"]["id"] == printed[1][3:11]
    assert not [each for each in printed if each.rpartition("_")[2] in json.dumps(acts)]


def test_the_list_shows_names_roles_and_ends_and_no_token(run: Run, file: Path) -> None:
    printed = [
        run("access", "add", "olga", "--role", "viewer", "--payloads", "--expires", "365d").stdout.strip(),
        run("access", "add", "bot", "--role", "operator").stdout.strip(),
    ]
    listed = run("access", "list")
    rows = [re.split(r"  +", line) for line in listed.stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        ["NAME", "ROLE", "ID"],
        ["bot", "operator", printed[1][3:11]],
        ["olga", "viewer with payloads", printed[0][3:11]],
    ]
    assert rows[1][-1] == "never" and rows[2][-1].startswith("20")
    shown = json.loads(run("access", "list", "--json").stdout)["tokens"]
    assert [(each["name"], each["role"], each["payloads"], each["expired"]) for each in shown] == [
        ("bot", "operator", True, False),
        ("olga", "viewer", True, False),
    ]
    everything = f"{listed.output}{shown}"
    stored = [each["sha256"] for each in json.loads(file.read_text())["tokens"].values()]
    assert not [each for each in [*stored, *(text[12:] for text in printed)] if each in everything]


def test_json_has_the_token_once(run: Run, file: Path) -> None:
    made = json.loads(run("access", "add", "olga", "--role", "viewer", "--json").stdout)
    assert TOKEN.fullmatch(made["token"]) and made["name"] == "olga" and made["expires_at"] is None
    rotated = json.loads(run("access", "rotate", "olga", "--json").stdout)
    assert rotated["token"] != made["token"] and rotated["id"] != made["id"]


def test_an_expired_token_is_listed_as_such(run: Run, file: Path) -> None:
    run("access", "add", "olga", "--role", "viewer", "--expires", "1d")
    content = file.read_text()
    ends = json.loads(content)["tokens"]["olga"]["expires_at"]
    file.write_text(content.replace(ends, "2020-01-01T00:00:00.000Z"))
    assert run("access", "list").stdout.splitlines()[1].endswith("2020-01-01T00:00:00.000, expired")


def test_an_empty_list_says_that_nobody_is_let_in(run: Run, file: Path) -> None:
    run("access", "add", "olga", "--role", "viewer")
    run("access", "remove", "olga")
    ended = run("access", "list")
    assert (ended.stdout, ended.stderr) == ("", "access.json has no tokens: no request is accepted by it\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "olga", "--role", "viewer"], 1, "relay: olga has a token: replace it with relay access rotate olga"),
        (["add", "a b", "--role", "viewer"], 1, "relay: 'a b': a name has 1 to 64 letters, digits, dots"),
        (["add", "bot", "--role", "admin"], 2, "'admin' is not one of 'viewer', 'operator'"),
        (["add", "bot"], 2, "Missing option '--role'"),
        (["add", "bot", "--role", "viewer", "--expires", "soon"], 2, "'soon' must be a duration like"),
        (["add", "bot", "--role", "viewer", "--expires", "366d"], 2, "must be above 0 and at most 365d"),
        (["rotate", "olag"], 1, "relay: no token of 'olag' (did you mean 'olga'?)"),
        (["remove", "olag"], 1, "relay: no token of 'olag' (did you mean 'olga'?)"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    arguments: list[str], code: int, said: str, run: Run, file: Path
) -> None:
    run("access", "add", "olga", "--role", "viewer")
    before = file.read_bytes()
    ended = run("access", *arguments)
    assert ended.exit_code == code and said in ended.stderr and ended.stdout == ""
    assert file.read_bytes() == before


def test_without_the_name_of_the_file_nothing_is_made(run: Run, folder: Path) -> None:
    ended = run("access", "add", "olga", "--role", "viewer")
    assert ended.exit_code == 2 and "Missing option '--access'" in ended.stderr


def test_a_file_that_others_may_read_is_not_added_to(run: Run, file: Path) -> None:
    run("access", "add", "olga", "--role", "viewer")
    file.chmod(0o644)
    for arguments in (["list"], ["add", "bot", "--role", "viewer"]):
        ended = run("access", *arguments)
        assert ended.exit_code == 1 and "mode 0644: chmod 600 access.json" in ended.stderr
    assert len(json.loads(file.read_text())["tokens"]) == 1
    file.chmod(0o600)
    assert [each.name for each in access.load(file)] == ["olga"]


def test_all_sessions_are_ended_and_that_is_in_the_audit(run: Run, kept: Path) -> None:
    key = kept.with_name(f"{kept.name}.session-key")
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    ended = run("access", "end-sessions")
    assert (ended.exit_code, ended.output) == (0, "all sessions of the console have ended\n")
    assert key.read_bytes() != bytes(32)
    assert json.loads(run("audit", "--json").output)[0]["command"] == "access end-sessions"
