"""Every file that a load read is watched: secrets, authorities, pairs; what is wrong with one changes nothing."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.file_versions import detached
from relay.signals import FileDetached, Reloaded, Signal
from relay.store.open import SqliteUrl
from relay.tls import client_context
from tests.certificates import Pair
from tests.e2e.processes import until
from tests.scene import FORM, LEAD, OTHER_TOKEN, TOKEN, form

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{file:{folder}/token}}"}}}}
targets:
  bot:
    url: https://127.0.0.1:9/
    tls: {{ca: "{folder}/ca.pem", cert: "{folder}/tls.pem", key: "{folder}/tls.key"}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""


class Scene:
    """A relay that reads secrets from files, and what it said."""

    def __init__(self, relay: Relay, pair: Pair, said: list[Signal]) -> None:
        self.relay = relay
        self.folder = pair.key.parent
        self.token = self.folder / "token"
        self.pair = pair
        self.said = said

    async def status(self, token: str) -> int:
        hook = f"{url(self.relay.listening)}/hooks/crm/{token}"
        async with aiohttp.ClientSession() as session, session.post(hook, data=form(LEAD), headers=FORM) as answer:
            return answer.status

    async def accepts(self, token: str) -> bool:
        return await self.status(token) == 200

    def reloads(self) -> list[Reloaded]:
        return [each for each in self.said if isinstance(each, Reloaded)]

    def problems(self) -> list[str]:
        """Of the reloads so far."""
        return [problem for each in self.reloads() for problem in each.problems]

    def digest(self) -> str:
        """Of the PEM files in force."""
        tls = self.relay.reloader.config.targets["bot"].tls
        assert tls
        return tls.digest


def replace(path: Path, text: str) -> None:
    """At one stroke, as whoever rotates secrets does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    pair = Pair.within(tmp_path)
    pair.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "routes.yaml").write_text(ROUTES.format(folder=tmp_path))
    settings = Settings(
        config=tmp_path / "routes.yaml",
        store=SqliteUrl(tmp_path / "relay.db"),
        listen=("127.0.0.1", 0),
        admin=("127.0.0.1", 0),
    )
    said: list[Signal] = []
    async with running(settings, emit=said.append, registry=CollectorRegistry()) as relay:
        yield Scene(relay, pair, said)


async def test_a_rotated_token_takes_effect_by_itself(scene: Scene) -> None:
    assert await scene.accepts(TOKEN)
    replace(scene.token, OTHER_TOKEN)
    await until(lambda: scene.accepts(OTHER_TOKEN))
    assert not await scene.accepts(TOKEN)


async def test_a_secret_behind_a_link_that_is_turned_takes_effect_by_itself(scene: Scene) -> None:
    for name, token in (("one", TOKEN), ("two", OTHER_TOKEN)):
        (scene.folder / name).mkdir()
        (scene.folder / name / "token").write_text(token)
    (scene.folder / "data").symlink_to("one")
    scene.token.unlink()
    scene.token.symlink_to("data/token")  # as Kubernetes mounts its secrets
    await scene.relay.reloader.reload()
    (scene.folder / "data.new").symlink_to("two")
    (scene.folder / "data.new").rename(scene.folder / "data")
    await until(lambda: scene.accepts(OTHER_TOKEN))


def another_authority(scene: Scene) -> None:
    Pair.within(make(scene.folder / "other")).authority.cert_pem.write_to_path(scene.folder / "ca.pem")


def another_pair(scene: Scene) -> None:
    scene.pair.issue()


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("rotate", [another_authority, another_pair])
async def test_rotated_pem_files_of_a_target_take_effect_by_themselves(
    rotate: Callable[[Scene], None], scene: Scene
) -> None:
    before = scene.digest()
    rotate(scene)
    await until(lambda: scene.digest() != before)


@pytest.mark.parametrize("name", ["token", "ca.pem", "tls.pem", "tls.key"])
async def test_a_file_that_is_gone_is_told_and_changes_nothing_until_it_is_back(name: str, scene: Scene) -> None:
    file, config = scene.folder / name, scene.relay.reloader.config
    before = file.read_bytes()
    file.unlink()
    await until(lambda: bool(scene.problems()))
    assert str(file) in scene.problems()[0]
    assert scene.relay.reloader.config is config
    await until(lambda: scene.accepts(TOKEN))
    file.write_bytes(before)
    await until(lambda: not scene.reloads()[-1].problems)  # announced a moment after the routes are in use
    assert scene.relay.reloader.config is not config


async def test_something_in_its_place_that_cannot_be_read_is_told_and_changes_nothing(scene: Scene) -> None:
    scene.token.unlink()
    scene.token.mkdir()
    await until(lambda: bool(scene.problems()))
    assert f"the file {scene.token} does not exist or is no file" in scene.problems()[0]
    assert await scene.accepts(TOKEN)


async def test_what_became_of_a_file_after_it_was_loaded_does_not_matter_to_a_connection(scene: Scene) -> None:
    tls = scene.relay.reloader.config.targets["bot"].tls
    assert tls
    for name in ("ca.pem", "tls.pem", "tls.key"):
        (scene.folder / name).unlink()
    assert client_context(tls).get_ca_certs()


async def test_a_file_put_back_with_the_same_time_and_size_is_noticed_by_its_ctime(scene: Scene) -> None:
    stat = scene.token.stat()
    assert len(TOKEN) == len(OTHER_TOKEN)
    scene.token.write_text(OTHER_TOKEN)  # in place: the same inode
    os.utime(scene.token, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    await until(lambda: scene.accepts(OTHER_TOKEN))


# ---- a file that was replaced under a mount


async def test_a_file_without_a_name_is_warned_of_at_a_reload_and_in_the_status(scene: Scene) -> None:
    with scene.token.open() as old:
        mounted = Path(f"/proc/self/fd/{old.fileno()}")  # as a mount of one file does, it leads to what was there
        scene.relay.settings.config.write_text(
            ROUTES.format(folder=scene.folder).replace(f"{scene.folder}/token", str(mounted))
        )
        await until(lambda: bool(scene.reloads()))
        assert detached(mounted) is None
        replace(scene.token, OTHER_TOKEN)
        await until(lambda: bool(scene.reloads()[-1].warnings))  # by itself: its ctime tells
        reload = f"{url(scene.relay.admin_listening)}/-/reload"
        async with aiohttp.ClientSession() as session, session.post(reload) as answer:
            told = await answer.json()
        said = "was replaced where it is mounted from, and this is the old one: mount its folder"
        assert told == {"reloaded": True, "warnings": [f"{mounted} {said}"]}
        assert [each for each in scene.said if isinstance(each, FileDetached)][-1] == FileDetached(
            file=str(mounted), detail=said
        )
        assert [each["warning"] for each in scene.relay.reloader.files()["loaded"] if each["file"] == str(mounted)] == [
            said
        ]
