"""A target's `tls`: files that are in order are taken, and each that is not is told at its own place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.model import Tls
from relay.routes.config import Config, parse
from tests.certificates import Pair

FILE = """\
version: 1
sources: {{crm: {{token: "5b1f0c9e7a3d48268e4f"}}}}
targets:
  bot:
    url: {url}
    tls:
      {tls}
routes: [{{name: all, match: {{}}, to: bot}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With tls.pem and tls.key, a pair, ca.pem, and other.key, which is of another certificate."""
    pair = Pair.within(tmp_path)
    pair.key.rename(tmp_path / "other.key")
    pair.issue()
    pair.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "hello").write_text("hello")
    return tmp_path


def parsed(*lines: str, url: str = "https://bot.example/in", **env: str) -> Config:
    return parse(FILE.format(url=url, tls="\n      ".join(lines)), file="routes.yaml", env=env)


def refusal(*lines: str, url: str = "https://bot.example/in", **env: str) -> list[str]:
    with pytest.raises(RoutesInvalid) as refused:
        parsed(*lines, url=url, **env)
    return refused.value.lines()


def tls(*lines: str, **env: str) -> Tls:
    found = parsed(*lines, **env).targets["bot"].tls
    assert found
    return found


def test_the_files_are_named_absolutely_also_by_a_variable(folder: Path) -> None:
    found = tls("ca: ${DIR}/ca.pem", "cert: ${DIR}/tls.pem", "key: ${DIR}/tls.key", DIR=str(folder))
    assert (found.ca, found.cert, found.key) == (folder / "ca.pem", folder / "tls.pem", folder / "tls.key")


def test_an_authority_may_stand_alone(folder: Path) -> None:
    found = tls(f"ca: {folder}/ca.pem")
    assert (found.ca, found.cert, found.key) == (folder / "ca.pem", None, None)


def test_a_target_without_tls_has_none() -> None:
    text = FILE.replace("    tls:\n      {tls}\n", "").format(url="https://bot.example/in")
    assert parse(text, file="routes.yaml", env={}).targets["bot"].tls is None


def test_a_target_is_another_one_when_a_file_holds_something_else(folder: Path) -> None:
    lines = (f"cert: {folder}/tls.pem", f"key: {folder}/tls.key")
    before = parsed(*lines).targets
    assert parsed(*lines).targets == before
    Pair.within(folder)
    assert parsed(*lines).targets != before


Case = tuple[Callable[[Path], list[str]], list[str]]

WRONG: dict[str, Case] = {
    "no such file": (
        lambda folder: [f"ca: {folder}/none.pem"],
        ["7:7  targets.bot.tls.ca: the file {folder}/none.pem cannot be read: No such file or directory"],
    ),
    "a folder": (
        lambda folder: [f"ca: {folder}"],
        ["7:7  targets.bot.tls.ca: the file {folder} cannot be read: Is a directory"],
    ),
    "not PEM": (
        lambda folder: [f"ca: {folder}/hello", f"cert: {folder}/tls.pem", f"key: {folder}/hello"],
        [
            "7:7  targets.bot.tls.ca: the file {folder}/hello holds no certificate in PEM",
            "9:7  targets.bot.tls.key: the file {folder}/hello holds no private key in PEM, or one with a password",
        ],
    ),
    "a key in the place of the certificate": (
        lambda folder: [f"cert: {folder}/tls.key", f"key: {folder}/tls.key"],
        ["7:7  targets.bot.tls.cert: the file {folder}/tls.key holds no certificate in PEM"],
    ),
    "another key": (
        lambda folder: [f"cert: {folder}/tls.pem", f"key: {folder}/other.key"],
        ["8:7  targets.bot.tls.key: the file {folder}/other.key holds another key than that of {folder}/tls.pem"],
    ),
    "no key": (
        lambda folder: [f"cert: {folder}/tls.pem"],
        ["7:7  targets.bot.tls.cert: cert and key go together"],
    ),
    "a key alone": (
        lambda folder: [f"key: {folder}/tls.key"],
        ["7:7  targets.bot.tls.key: cert and key go together"],
    ),
    "a relative path": (
        lambda _folder: ["ca: ca.pem", "cert: ${RELATIVE}", "key: tls.key"],
        [
            "7:7  targets.bot.tls.ca: must be the absolute path of a PEM file",
            "8:7  targets.bot.tls.cert: must be the absolute path of a PEM file",
            "9:7  targets.bot.tls.key: must be the absolute path of a PEM file",
        ],
    ),
    "no path, but what looks like a variable": (
        lambda _folder: ["ca: $${RELATIVE}"],
        ["7:7  targets.bot.tls.ca: must be the absolute path of a PEM file"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_does_not_serve_is_told_at_its_place(case: str, folder: Path) -> None:
    lines, expected = WRONG[case]
    assert refusal(*lines(folder), RELATIVE="ca.pem") == [
        f"routes.yaml:{each.format(folder=folder)}" for each in expected
    ]


def test_tls_for_a_plain_url_is_refused(folder: Path) -> None:
    said = "routes.yaml:6:5  targets.bot.tls: is for a URL that starts with https://"
    assert said in refusal(f"ca: {folder}/ca.pem", url="http://bot.example/in")
    assert said in refusal(f"ca: {folder}/ca.pem", url="${URL}", URL="HTTP://bot.example/in")


def test_no_refusal_shows_what_a_file_holds(folder: Path) -> None:
    secret = (folder / "other.key").read_text().splitlines()[1]
    assert secret not in "".join(refusal(f"cert: {folder}/tls.pem", f"key: {folder}/other.key"))
