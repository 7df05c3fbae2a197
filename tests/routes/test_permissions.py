"""`relay.routes.permissions`: whose file it is, and who may write it."""

import os
from pathlib import Path

import pytest

from relay.routes.permissions import writable_by_others
from tests.tools import demand_root

NOBODY = 65_534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444, 0o755])
def test_a_file_that_we_alone_may_write_is_not_exposed(mode: int, file: Path) -> None:
    file.chmod(mode)
    assert writable_by_others(file) is None


@pytest.mark.parametrize(("mode", "who"), [(0o620, "its group"), (0o664, "its group"), (0o602, "any"), (0o666, "any")])
def test_one_that_others_may_write_is(mode: int, who: str, file: Path) -> None:
    file.chmod(mode)
    said = writable_by_others(file)
    assert said is not None and said.startswith(who) and said.endswith("chmod go-w")


def test_so_is_one_that_belongs_to_another_user(file: Path) -> None:
    demand_root()
    os.chown(file, NOBODY, NOBODY)
    said = writable_by_others(file)
    assert said is not None and said.startswith(f"uid {NOBODY} may change this file")


def test_of_a_file_that_is_not_there_nothing_is_said(tmp_path: Path) -> None:
    assert writable_by_others(tmp_path / "nowhere.yaml") is None
