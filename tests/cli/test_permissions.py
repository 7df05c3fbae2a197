"""A missing permission is called that, in one sentence everywhere: which file, who owns it, who this process is."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.os_errors import permission_problem
from tests.cli.conftest import ROUTES, SECRETS
from tests.store.conftest import NOON, open_sqlite, routed, to, webhook

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be other users")

RELAY, OTHER = 61001, 61002  # uids that have no name

AS_USER = """
import importlib, os, pkgutil, sys
import relay, relay.cli
for module in pkgutil.walk_packages(relay.__path__, "relay."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import difflib, encodings.idna, encodings.utf_8_sig, getpass, jsonschema, rich._unicode_data, tempfile, uvloop
from rich.cells import cell_len
cell_len("ж")
uid = int(sys.argv.pop(1))
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
relay.cli.main()
"""
"""Everything is imported first: the interpreter itself may be where that user may not look."""


@dataclass(frozen=True)
class Scene:
    """A folder of the user RELAY's, with a store in it."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "relay.db"

    def own(self, uid: int, mode: int | None = None, *paths: Path) -> None:
        for path in paths or (self.folder, *self.folder.glob("relay.db*")):
            os.chown(path, uid, uid)
            if mode is not None:
                path.chmod(mode)

    def run(self, uid: int, *arguments: str) -> tuple[int, str, str]:
        """`relay …` as another user."""
        command = [sys.executable, "-c", AS_USER, str(uid), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")} | SECRETS
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        ended = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr

    def refused(self, uid: int, *arguments: str) -> str:
        """The one line that it ends with."""
        code, out, said = self.run(uid, *arguments)
        assert (code, out, said.count("\n")) == (1, "", 1), said
        return said.removeprefix("relay: ").rstrip()


@pytest.fixture
def scene() -> Iterator[Scene]:
    """In a folder that others may pass through, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="relay-permissions-"))
    (folder / "routes.yaml").write_text(ROUTES)
    scene = Scene(folder)

    async def keep() -> None:
        store = open_sqlite(folder, NOON)
        await store.keep(webhook(1), [routed(1, to("warehouse"))])
        await store.close()

    asyncio.run(keep())
    scene.own(RELAY)
    folder.chmod(0o755)
    yield scene
    shutil.rmtree(folder)


RUN = ("run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
ON_THE_STORE = [
    ("status",),
    ("list",),
    ("audit",),
    ("pause", "warehouse"),
    ("resume", "warehouse"),
    ("replay", "--all-dead"),
    ("purge", "--older-than", "7d"),
    ("verify",),
    ("backup", "copy.db"),
    ("reparse",),
    RUN,
]


def whose(uid: int, mode: str, we: int) -> str:
    return f"it belongs to {uid}, mode {mode}, and this process runs as {we}: "


@pytest.mark.parametrize("arguments", ON_THE_STORE, ids=" ".join)
def test_a_store_of_another_user_is_called_that(scene: Scene, arguments: tuple[str, ...]) -> None:
    said = scene.refused(OTHER, *arguments)
    whose_it_is = f"cannot read relay.db: {whose(RELAY, '0600', OTHER)}"
    assert said == f"{whose_it_is}run it as {RELAY}, or chown {OTHER} relay.db", "it is the daemon's: no chown at first"


@pytest.mark.parametrize("arguments", ON_THE_STORE, ids=" ".join)
def test_a_store_that_may_only_be_read_is_called_that(scene: Scene, arguments: tuple[str, ...]) -> None:
    scene.own(RELAY, 0o400, scene.store)
    said = scene.refused(RELAY, *arguments)
    assert said == f"cannot write relay.db: {whose(RELAY, '0400', RELAY)}chmod u+w relay.db"


def test_a_lock_that_cannot_be_read_is_not_called_a_daemon_that_does_not_run(scene: Scene) -> None:
    scene.own(RELAY, 0o666, scene.store)
    scene.folder.chmod(0o777)
    said = scene.refused(OTHER, "status")
    assert said.startswith(f"cannot read relay.db.lock: {whose(RELAY, '0600', OTHER)}")


def test_a_restore_by_root_says_what_to_chown(scene: Scene) -> None:
    scene.own(0, 0o600, scene.store)
    said = scene.refused(RELAY, *RUN)
    assert said.startswith(
        "cannot read relay.db: it belongs to root (uid 0), mode 0600, and this process runs as 61001: "
    )
    assert said.endswith(f"chown {RELAY} relay.db, or run it as root (uid 0)")
    assert scene.run(RELAY, "status")[0] == 1
    scene.own(RELAY, None, scene.store)
    assert scene.run(RELAY, "status")[0] == 0, "as it was told"


@pytest.mark.parametrize("name", ["relay.db.lock", "relay.db.acked", "relay.db-wal", "relay.db.ballast"])
def test_a_file_beside_it_that_root_left_is_named(scene: Scene, name: str) -> None:
    (scene.folder / name).touch()
    scene.own(0, 0o600, scene.folder / name)
    said = scene.refused(RELAY, *RUN)
    assert said.startswith(f"cannot read {name}: it belongs to root (uid 0), mode 0600")


@pytest.mark.parametrize("arguments", [("status",), ("pause", "warehouse"), ("verify",), RUN], ids=" ".join)
@pytest.mark.parametrize(("mode", "doing"), [(0o600, "enter"), (0o555, "write in")])
def test_a_folder_without_rights_is_called_that(
    scene: Scene, arguments: tuple[str, ...], mode: int, doing: str
) -> None:
    inner = scene.folder / "inner"
    inner.mkdir()
    shutil.copy(scene.store, inner)
    scene.own(RELAY, None, inner, inner / "relay.db")
    scene.own(0, mode, inner)
    routes = [] if arguments[0] in ("verify",) else ["-c", "routes.yaml"]
    said = scene.refused(RELAY, *arguments, *routes, "--store", "sqlite:///inner/relay.db")
    assert said.startswith(f"cannot {doing} {inner}: it belongs to root (uid 0), mode {mode:04o}, ")


def test_a_new_store_in_a_folder_of_others_is_called_that(scene: Scene) -> None:
    scene.own(0, 0o755, scene.folder)
    said = scene.refused(RELAY, *RUN, "--store", "sqlite:///new.db")
    assert said.startswith(f"cannot write in {scene.folder}: it belongs to root (uid 0), mode 0755, ")
    assert not (scene.folder / "new.db").exists()


def test_a_store_that_is_not_there_is_still_called_that(scene: Scene) -> None:
    assert scene.refused(OTHER, "status", "--store", "sqlite:///none.db").startswith("no store at none.db")


def test_a_backup_to_where_one_may_not_write_is_called_that(scene: Scene) -> None:
    (scene.folder / "vault").mkdir(mode=0o755)
    said = scene.refused(RELAY, "backup", "vault/copy.db")
    assert said.startswith(f"cannot write in {scene.folder / 'vault'}: it belongs to root (uid 0), mode 0755, ")


def test_routes_and_secrets_that_cannot_be_read_are_called_that(scene: Scene) -> None:
    secret = scene.folder / "token"
    secret.write_text("0123456789abcdef0123")
    (scene.folder / "routes.yaml").write_text(ROUTES.replace("${CRM_TOKEN}", f"${{file:{secret}}}"))
    scene.own(0, 0o600, secret)
    _, out, _ = scene.run(RELAY, "check", "--json")
    [problem] = json.loads(out)["errors"]
    assert problem["message"].startswith(
        f"cannot read {secret}: it belongs to root (uid 0), mode 0600, and this process"
    )
    scene.own(0, 0o600, scene.folder / "routes.yaml")
    said = scene.refused(RELAY, *RUN)
    assert said.startswith(
        "routes.yaml: cannot read routes.yaml: it belongs to root (uid 0), mode 0600, and this process"
    )


def test_a_body_to_explain_that_cannot_be_read_is_called_that(scene: Scene) -> None:
    body = scene.folder / "body.form"
    body.touch()
    scene.own(0, 0o600, body)
    assert scene.refused(RELAY, "explain", "body.form").startswith("cannot read body.form: it belongs to root (uid 0)")


def test_who_may_sees_nothing(scene: Scene) -> None:
    assert permission_problem(scene.store, write=True) is None
    assert permission_problem(scene.folder / "none" / "none.db", write=True) is None
    for arguments in (("status",), ("pause", "warehouse"), ("backup", "copy.db"), ("verify",)):
        assert scene.run(RELAY, *arguments)[0] == 0
