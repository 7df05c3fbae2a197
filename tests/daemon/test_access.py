"""The access file of a running relay: its tokens begin and end with it, and a bad one changes nothing."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.errors import ConfigurationError
from relay.model import Secret
from relay.operations import access
from relay.operations.asker import Role
from relay.signals import Reloaded, Signal
from relay.store.open import SqliteUrl
from tests.e2e.processes import until
from tests.scene import OTHER_TOKEN, ROUTES, TOKEN


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    at = ("127.0.0.1", 0)
    return {"config": routes, "store": SqliteUrl(tmp_path / "relay.db"), "listen": at, "admin": at}


class Guarded:
    """A running relay, and what it answers to tokens."""

    def __init__(self, relay: Relay, session: aiohttp.ClientSession, signals: list[Signal]) -> None:
        self.relay = relay
        self.signals = signals
        self._session = session

    async def ask(self, token: str, path: str = "/metrics") -> int:
        async with self._answer(token, path) as answer:
            return answer.status

    async def text(self, token: str, path: str = "/metrics") -> str:
        async with self._answer(token, path) as answer:
            return await answer.text()

    def _answer(self, token: str, path: str) -> Any:
        return self._session.get(
            url(self.relay.admin_listening) + path, headers={"Authorization": f"Bearer {token}"} if token else {}
        )


@asynccontextmanager
async def guarded(settings: dict[str, Any]) -> AsyncIterator[Guarded]:
    signals: list[Signal] = []
    starting = running(Settings(**settings), emit=signals.append, registry=CollectorRegistry())
    async with starting as relay, aiohttp.ClientSession() as session:
        yield Guarded(relay, session, signals)


def add(file: Path, name: str, **more: Any) -> str:
    asked: dict[str, Any] = {"role": Role.VIEWER, "expires": None, "payloads": False, "now": datetime.now(UTC)} | more
    return access.add(file, name, **asked).token.reveal()


async def test_the_file_is_loaded_again_by_itself(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"access": file}) as relay:
        assert [await relay.ask(each) for each in (olga, "")] == [200, 401]
        bot = add(file, "bot")
        access.remove(file, "olga")
        await until(lambda: any(isinstance(each, Reloaded) and "access" in each.activated for each in relay.signals))
        assert [await relay.ask(each) for each in (olga, bot)] == [401, 200]


@pytest.mark.parametrize("spoil", [lambda file: file.chmod(0o666), lambda file: file.write_text("{"), os.unlink])
async def test_a_file_that_cannot_be_believed_changes_nothing(
    spoil: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"access": file}) as relay:
        spoil(file)
        reloaded = await relay.relay.reloader.reload()
        assert len(reloaded.access_problems) == 1 and "access.json" in reloaded.access_problems[0]
        assert reloaded.activated == ["routes"], "neither waits for the other"
        assert await relay.ask(olga) == 200
        report = relay.relay.reloader.files()
        assert report["refused"][0]["problems"] == list(reloaded.access_problems)


async def test_routes_that_are_refused_do_not_keep_a_token_alive(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"access": file}) as relay:
        settings["config"].write_text("nonsense: 1")
        access.remove(file, "olga")
        reloaded = await relay.relay.reloader.reload()
        assert reloaded.problems and reloaded.activated == ["access"]
        assert await relay.ask(olga) == 401


async def test_without_any_token_the_loopback_is_open_and_with_one_it_is_not(settings: dict[str, Any]) -> None:
    async with guarded(settings) as relay:
        assert await relay.ask("") == 200
    async with guarded(settings | {"viewer_token": Secret("a-viewer-token")}) as relay:
        assert [await relay.ask(each) for each in ("", "a-viewer-token")] == [401, 200]
        assert await relay.ask("a-viewer-token", "/-/forward") == 403


async def test_the_end_of_each_token_is_a_metric(settings: dict[str, Any], tmp_path: Path) -> None:
    file, noon = tmp_path / "access.json", datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    add(file, "olga", expires=timedelta(days=90), now=noon)
    bot = add(file, "bot")
    async with guarded(settings | {"access": file}) as relay:
        lines = [each for each in (await relay.text(bot)).splitlines() if each.startswith("relay_access")]
        ends = (noon + timedelta(days=90)).timestamp()
        assert [line.split()[0] for line in lines] == ['relay_access_token_expires_timestamp_seconds{name="olga"}']
        assert [float(line.split()[1]) for line in lines] == [ends]
        assert "relay_access" not in "".join(await relay.text(bot, "/readyz"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "is not loopback: set RELAY_ADMIN_TOKEN or --access, or listen on 127.0.0.1"),
        ({"admin_token": Secret("short")}, "RELAY_ADMIN_TOKEN has fewer than 20 characters"),
        ({"viewer_token": Secret("short")}, "RELAY_VIEWER_TOKEN has fewer than 20 characters"),
        ({"admin_token": Secret("x" * 20), "viewer_token": Secret("x" * 20)}, "are the same"),
    ],
)
async def test_beyond_loopback_it_does_not_start_without_a_token_of_some_length(
    more: dict[str, Any], said: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        async with guarded(settings | {"admin": ("0.0.0.0", 0)} | more):
            pass


async def test_beyond_loopback_an_access_file_is_enough(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"admin": ("0.0.0.0", 0), "access": file}) as relay:
        assert [await relay.ask(each) for each in (olga, "")] == [200, 401]


async def test_a_relay_does_not_start_with_a_file_that_cannot_be_believed(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        async with guarded(settings | {"access": tmp_path / "access.json"}):
            pass
    assert not (tmp_path / "relay.db").exists()
