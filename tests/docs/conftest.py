"""A folder as README.md sets it up, and the relay that it starts there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, commands, read
from tests.e2e.processes import free_port


def set_up() -> list[str]:
    """What README.md has before `relay check`: the secrets, and the routes file."""
    shown = commands(read("README.md"))
    return shown[shown.index("mkdir -p -m 700 secrets") : shown.index("relay check routes.yaml")]


def done(folder: Path, environment: Mapping[str, str], command: str) -> str:
    """What it prints; it must end well."""
    ended = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With config/, as in a clone."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """`relay` is found, and listens where no other test does."""
    bin_ = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "RELAY_LISTEN": f"127.0.0.1:{free_port()}",
        "RELAY_ADMIN": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture
def daemon(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """What `relay run` of README.md starts, after what comes before it."""
    subprocess.run(["bash", "-ec", "\n".join(set_up())], cwd=folder, env=environment, check=True)
    [run] = [command for command in commands(read("README.md")) if command.startswith("relay run")]
    with subprocess.Popen(run.split(), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "ready" in process.stderr.readline()
        yield
        process.terminate()
        process.stderr.close()
        assert process.wait(10) == 0
