"""The locks, the wheel and the image, checked without a container engine."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from aiohttp import web
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pytest_aiohttp.plugin import AiohttpServer

from relay.cli.run import run as run_command

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


# ---- locks


LOCKS = {
    "requirements-build.txt": PROJECT["build-system"]["requires"],
    "requirements.txt": PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["postgresql"],
    "requirements-dev.txt": PROJECT["project"]["optional-dependencies"]["dev"],
    "tests/bench/requirements.txt": ["hookspool==0.2.0", "py-spy"],
}


def pins(lock: str) -> set[tuple[str, str]]:
    """(canonical name, version) of every requirement in a lock; some have one for each of several Pythons."""
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {(canonicalize_name(name), version) for name, version in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_what_pyproject_asks_for(lock: str) -> None:
    pinned = pins(lock)
    for wanted in map(Requirement, LOCKS[lock]):
        versions = [version for name, version in pinned if name == canonicalize_name(wanted.name)]
        assert any(map(wanted.specifier.contains, versions)), f"{lock} has {versions} for {wanted}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_version_and_hashes_on_every_line_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+==\S+( ; [^\\]+?)? *(--hash=sha256:[0-9a-f]{64} *)+", entry), entry
    assert not re.search(r"(https?|file|git\+\w+):|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_the_tests_run_on_the_versions_that_users_run() -> None:
    assert pins("requirements.txt") <= pins("requirements-dev.txt")


# ---- the image


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, rest), continuations joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def the(instruction: str) -> str:
    """The last one counts, as in Docker."""
    return [rest for word, rest in dockerfile() if word == instruction][-1]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(the("ENV")))


def copies() -> list[tuple[list[str], str]]:
    """([source, …], destination) for what comes from the build context."""
    words = [rest.split() for word, rest in dockerfile() if word == "COPY" and not rest.startswith("--from=")]
    return [(sources, destination) for *sources, destination in words]


def ignored(path: str) -> bool:
    """As .dockerignore says: the last line that matches the path or a folder above it decides."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    names = [path, *map(str, Path(path).parents)]
    verdict = False
    for line in lines:
        if any(fnmatch(name, line.removeprefix("!")) for name in names):
            verdict = not line.startswith("!")
    return verdict


def test_every_file_the_image_copies_exists_and_is_not_ignored() -> None:
    for sources, _ in copies():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source), source


@pytest.mark.parametrize(
    "path", [".git/config", "relay.db", "relay.db-wal", ".env", "config/routes.yaml", "tests/x.py"]
)
def test_nothing_private_reaches_the_build(path: str) -> None:
    assert ignored(path)


def test_the_image_installs_only_pinned_wheels_and_itself() -> None:
    steps = [step.strip() for word, rest in dockerfile() if word == "RUN" for step in rest.split("&&")]
    installs = [step for step in steps if step.startswith("pip ")]
    assert installs
    for step in installs:
        pinned = "--require-hashes --only-binary :all: -r requirements" in step
        assert pinned or "--no-deps --no-index" in step, step


def test_the_image_runs_as_a_user_without_rights() -> None:
    steps = [word for word, _ in dockerfile()]
    assert the("USER") == "10001:10001"
    assert "useradd --uid 10001 --user-group" in the("RUN")
    assert "RUN" not in steps[steps.index("USER") :], "a step after USER could not write anywhere"


def test_the_store_is_on_the_one_volume_and_the_user_owns_it() -> None:
    assert [rest for word, rest in dockerfile() if word == "VOLUME"] == ["/data"]
    assert environment()["RELAY_STORE"].startswith("sqlite:////data/")
    assert re.search(r"install --directory --owner relay .* /data$", the("RUN"))


def test_both_listeners_are_exposed_and_only_intake_is_open() -> None:
    ports = [environment()[name].rpartition(":")[2] for name in ("RELAY_LISTEN", "RELAY_ADMIN")]
    assert the("EXPOSE").split() == ports
    assert environment()["RELAY_ADMIN"].startswith("127.0.0.1:")


def test_every_variable_the_image_sets_is_one_that_relay_run_reads() -> None:
    read = {parameter.envvar for parameter in run_command.params}
    assert {name for name in environment() if name.startswith("RELAY_")} <= read


def test_the_image_runs_the_daemon_and_stops_it_gently() -> None:
    assert json.loads(the("ENTRYPOINT")) == ["relay"]
    assert json.loads(the("CMD")) == ["run"]
    assert the("STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.7", "127.0.0.7"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", "localhost"),
        ("::1", "[::1]"),
        ("::1", "[::]"),
    ],
)
async def test_the_health_check_follows_readyz_wherever_the_listener_is(
    bound: str, told: str, status: int | None, healthy: bool, aiohttp_server: AiohttpServer
) -> None:
    async def ready(_request: web.Request) -> web.Response:
        return web.Response(status=status or 500)

    admin = web.Application()
    admin.router.add_get("/readyz", ready)
    server = await aiohttp_server(admin, host=bound)
    port = server.port
    if status is None:
        await server.close()
    _, *command = json.loads(the("HEALTHCHECK").partition("CMD ")[2])
    variables = {
        "RELAY_ADMIN": f"{told}:{port}",
        "http_proxy": "http://[::1]:9",
    }
    check = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=os.environ | variables, stderr=asyncio.subprocess.DEVNULL
    )
    assert (await check.wait() == 0) is healthy


# ---- the wheel


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the Dockerfile builds it, of nothing but what it copies."""
    source = tmp_path_factory.mktemp("src")
    for names, destination in copies():
        for name in names:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, source / destination)
    build = next(rest for word, rest in dockerfile() if word == "RUN" and rest.startswith("pip wheel"))
    run(sys.executable, "-m", *build.partition("&&")[0].split(), cwd=source)
    return next((source / "dist").glob("*.whl"))


def test_the_wheel_holds_every_module_schema_and_migration(wheel: Path) -> None:
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / "relay").rglob("*.*") if "__pycache__" not in p.parts}
    assert any(name.endswith(".sql") for name in files)
    assert any(name.endswith(".schema.json") for name in files)
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_the_installed_wheel_answers_to_relay(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # The dependencies are borrowed; an editable install's .pth is not read from PYTHONPATH, so the wheel is what runs.
    borrowed = sysconfig.get_path("platlib")
    assert PROJECT["project"]["scripts"].keys() == {"relay"}
    where = run(python, "-c", "import relay; print(relay.__file__)", cwd=tmp_path, PYTHONPATH=borrowed)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert "run" in run(tmp_path / "venv/bin/relay", "--help", cwd=tmp_path, PYTHONPATH=borrowed)
