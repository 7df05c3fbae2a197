"""Access tokens: what is stored of them, which file is believed, and who shows which token."""

import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest

from relay.errors import ConfigurationError, ConflictError, NotFoundError
from relay.model import Secret
from relay.operations import access
from relay.operations.access import Bearers, Expired, Issued
from relay.operations.asker import Asker, Role

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.json"


def add(file: Path, name: str = "olga", **more: Any) -> Issued:
    asked: dict[str, Any] = {"role": Role.VIEWER, "expires": None, "payloads": False, "now": NOON} | more
    return access.add(file, name, **asked)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


# ---- what is made and stored


def test_a_link_where_the_new_file_is_written_first_is_not_followed(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "of-root"
    other.write_text("precious")
    file.with_name(f"{file.name}.{os.getpid()}.tmp").symlink_to(other)
    add(file)
    assert other.read_text() == "precious"
    assert [each.name for each in access.load(file)] == ["olga"]


def test_a_token_has_160_random_bits_and_the_file_has_its_hash_alone(file: Path) -> None:
    made = [add(file, f"user-{number}").token.reveal() for number in range(20)]
    assert all(re.fullmatch("rt_[0-9a-f]{8}_[0-9a-f]{40}", each) for each in made)
    assert len({each.rpartition("_")[2] for each in made}) == 20
    stored = file.read_text()
    assert not [each for each in made if each.rpartition("_")[2] in stored]
    assert all(hashlib.sha256(each.encode()).hexdigest() in stored for each in made)


def test_the_file_is_for_its_owner_alone_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        add(file)
    finally:
        os.umask(before)
    assert mode(file) == 0o600


def test_a_token_is_never_printed_by_accident(file: Path) -> None:
    issued = add(file)
    assert issued.token.reveal().rpartition("_")[2] not in f"{issued!r} {issued.token}"


def test_a_name_gets_one_token_and_a_second_is_a_conflict(file: Path) -> None:
    before = add(file).entry
    with pytest.raises(ConflictError, match="relay access rotate olga"):
        add(file)
    assert list(access.listing(file)) == [before]


@pytest.mark.parametrize(
    "name",
    ["", "a b", "ann@host", "a/b", "x" * 65, "RELAY_ADMIN_TOKEN", "relay_viewer_token", "Loopback", "a\nb", "a\u202eb"],
)
def test_a_name_that_could_pass_for_another_asker_is_refused(name: str, file: Path) -> None:
    """The audit has `user@host` of those who use the command line."""
    with pytest.raises(ConfigurationError):
        add(file, name)
    assert not file.exists()


def test_a_name_is_one_however_its_letters_are_composed(file: Path) -> None:
    add(file, "Сергей")
    add(file, "Андре\u0438\u0306")
    assert [each.name for each in access.listing(file)] == ["Андрей", "Сергей"]
    access.remove(file, "Андре\u0438\u0306")
    assert [each.name for each in access.listing(file)] == ["Сергей"]


def test_a_rotated_token_keeps_role_and_length_of_life(file: Path) -> None:
    add(file, role=Role.VIEWER, payloads=True, expires=90 * DAY)
    add(file, "bot", role=Role.OPERATOR)
    entry = access.rotate(file, "olga", expires=None, now=NOON + 80 * DAY).entry
    assert (entry.role, entry.payloads, entry.expires_at) == (Role.VIEWER, True, NOON + 170 * DAY)
    assert access.rotate(file, "bot", expires=None, now=NOON).entry.expires_at is None
    assert access.rotate(file, "bot", expires=DAY, now=NOON).entry.expires_at == NOON + DAY


def test_a_name_that_has_no_token_is_named_with_a_suggestion(file: Path) -> None:
    add(file)
    for act in (lambda: access.remove(file, "olgo"), lambda: access.rotate(file, "olgo", expires=None, now=NOON)):
        with pytest.raises(NotFoundError, match=r"no token of 'olgo' \(did you mean 'olga'\?\)"):
            act()


def test_changes_at_the_same_time_lose_none(file: Path) -> None:
    with ThreadPool(8) as pool:
        pool.map(lambda number: add(file, f"user-{number}"), range(24))
    assert len(access.listing(file)) == 24


def test_a_change_that_fails_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(file)
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match=r"cannot write .*: No space left on device"):
        add(file, "bot")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_makes_in_the_folder_of_a_service_is_readable_for_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 12345, 12346)
    add(folder / "access.json")
    made = (folder / "access.json").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (12345, 12346, 0o600)


def test_a_change_keeps_mode_and_link_of_the_file(file: Path) -> None:
    add(file)
    file.chmod(0o400)
    link = file.parent / "link.json"
    link.symlink_to(file)
    add(link, "bot")
    assert link.is_symlink() and mode(file) == 0o400
    assert [each.name for each in access.listing(file)] == ["bot", "olga"]


# ---- which file is believed


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o602, 0o620, 0o660, 0o601, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(bits: int, file: Path) -> None:
    add(file)
    file.chmod(bits)
    with pytest.raises(ConfigurationError, match=rf"others may use .*, mode {bits:04o}: chmod 600 {file}"):
        access.load(file)
    with pytest.raises(ConfigurationError):
        add(file, "bot")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(file)
    os.chown(file, 12345, 12345)
    with pytest.raises(ConfigurationError, match=r"uid 12345 may change the access file .*: chown"):
        access.load(file)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert access.load(file), "the relay's own"
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="mode 0640"):
        access.load(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of root's is wanted")
def test_the_group_may_read_a_file_of_roots_as_kubernetes_mounts_it(file: Path) -> None:
    add(file)
    file.chmod(0o440)
    assert access.load(file)


def test_a_missing_file_says_how_one_is_made(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist: make it with relay access add NAME --role operator"):
        access.load(file)
    with pytest.raises(NotFoundError):
        access.remove(file, "olga")
    assert not file.exists()


def changed(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["tokens"]["olga"].update(values)

    return change


BAD = [
    (lambda content: content.update(version=2), "version 2 is of a newer relay"),
    (lambda content: content.update(users={}), "unknown field `users`"),
    (lambda content: content.pop("tokens"), "missing required field `tokens`"),
    (changed(role="admin"), "Invalid enum value 'admin'"),
    (changed(rol="viewer"), "unknown field `rol`"),
    (changed(id="zz"), r"tokens\.olga\.id: 8 hexadecimal digits"),
    (changed(sha256="ab"), r"tokens\.olga\.sha256: 64 hexadecimal digits"),
    (changed(expires_at="2026-11-30T12:00:00"), r"tokens\.olga\.expires_at: a time with its zone"),
    (changed(expires_at="soon"), "Invalid RFC3339"),
    (changed(payloads="yes"), "Expected `bool`"),
    (lambda content: content["tokens"].update(bot=content["tokens"]["olga"]), "two tokens have the same id"),
    (lambda content: content["tokens"].update({"a b": content["tokens"].pop("olga")}), "a name has 1 to 64 letters"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_a_file_that_is_wrong_is_refused_as_a_whole_by_a_line_that_says_where(
    change: Callable[[dict[str, Any]], None], said: str, file: Path
) -> None:
    hash_ = hashlib.sha256(add(file).token.reveal().encode()).hexdigest()
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=said) as refused:
        access.load(file)
    assert str(refused.value).startswith(f"{file} is not an access file: ")
    assert "\n" not in str(refused.value) and hash_ not in str(refused.value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1, "version": 1, "tokens": {}}', b"[" * 999]
)
def test_what_is_no_json_is_refused_by_one_line(data: bytes, file: Path) -> None:
    add(file)
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match="is not an access file: ") as refused:
        access.load(file)
    assert "\n" not in str(refused.value)


# ---- who shows which token


def bearers(file: Path, **fixed: str) -> Bearers:
    made = Bearers(**{name: Secret(text) for name, text in fixed.items()})
    made.use(access.load(file))
    return made


def test_each_token_is_its_own_asker(file: Path) -> None:
    viewer, reader = add(file).token.reveal(), add(file, "rita", payloads=True).token.reveal()
    operator = add(file, "bot", role=Role.OPERATOR).token.reveal()
    known = bearers(file, admin="an-admin-token", viewer="a-viewer-token")
    shown = [known.asker(each, NOON) for each in (viewer, reader, operator, "an-admin-token", "a-viewer-token")]
    assert shown == [
        Asker(name="olga", role=Role.VIEWER, payloads=False),
        Asker(name="rita", role=Role.VIEWER, payloads=True),
        Asker(name="bot", role=Role.OPERATOR, payloads=True),
        Asker(name="RELAY_ADMIN_TOKEN", role=Role.OPERATOR, payloads=True),
        Asker(name="RELAY_VIEWER_TOKEN", role=Role.VIEWER, payloads=False),
    ]


def test_no_other_text_is_a_token(file: Path) -> None:
    token, other = add(file).token.reveal(), add(file, "bot", role=Role.OPERATOR).token.reveal()
    hash_ = hashlib.sha256(token.encode()).hexdigest()
    swapped = f"{other[:11]}_{token[12:]}"
    near = [token[:-1], f"{token}0", token[:-1] + ("0" if token[-1] != "0" else "1"), token.upper(), f" {token}"]
    known = bearers(file)
    for text in [*near, swapped, hash_, f"rt_{token[3:11]}_{hash_[:40]}", "", "rt_", "rt__", "\udcff", "0" * 64]:
        assert known.asker(text, NOON) is None, text
    assert known.asker(token, NOON)


def test_an_empty_file_lets_nobody_in(file: Path) -> None:
    token = add(file).token.reveal()
    access.remove(file, "olga")
    assert bearers(file).asker(token, NOON) is None
    assert Bearers().asker("", NOON) is None


def test_a_token_ends_at_its_instant_and_only_its_holder_is_told(file: Path) -> None:
    issued = add(file, expires=DAY)
    token, known = issued.token.reveal(), bearers(file)
    assert isinstance(known.asker(token, NOON + DAY - timedelta(milliseconds=1)), Asker)
    assert known.asker(token, NOON + DAY) == Expired(entry=issued.entry)
    assert known.asker(token[:-1], NOON + DAY) is None


def test_a_token_that_was_rotated_or_removed_is_a_wrong_one(file: Path) -> None:
    old, gone = add(file).token.reveal(), add(file, "bot").token.reveal()
    new = access.rotate(file, "olga", expires=None, now=NOON).token.reveal()
    access.remove(file, "bot")
    known = bearers(file)
    assert [known.asker(each, NOON) is not None for each in (old, gone, new)] == [False, False, True]


def test_every_token_costs_the_same_comparisons(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time of an answer says neither which ids there are, nor how much of a token was right."""
    right, ended = add(file).token.reveal(), add(file, "old", expires=DAY).token.reveal()
    known = bearers(file, admin="an-admin-token", viewer="a-viewer-token")
    compared: list[list[int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared[-1].extend((len(one), len(other)))
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for text in (right, ended, f"{right[:-1]}x", "rt_00000000_" + 40 * "0", "guess", "", "an-admin-token", 5000 * "x"):
        compared.append([])
        known.asker(text, NOON + DAY)
    assert compared == [[32] * 6] * 8


def test_a_pipe_in_place_of_the_file_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "access.json", 0o600)
    with pytest.raises(ConfigurationError, match="is not a file"):
        access.listing(tmp_path / "access.json")


def test_a_damaged_file_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    path.write_text('{"version": 1,\n "tokens": {"olga"')
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as raised:
        access.listing(path)
    said = str(raised.value)
    assert said.startswith(f"{path} is not an access file: no JSON from line 2, column 19 on; if it is damaged, ")
    assert "\n" not in said
