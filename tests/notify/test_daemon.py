"""A relay with receivers: what happens to it reaches them, and nothing that they do reaches it."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.model import Health
from relay.notify import digest, notifier
from relay.observe import Observer
from relay.observe.log import Log
from relay.signals import DiskSpace, DiskSpaceChanged, Notice, Notified, Signal
from relay.store.open import SqliteUrl
from tests.e2e.processes import until
from tests.e2e.targets import Targets, always, listening, well
from tests.notify.fakes import CHAT, TOKEN, FakeTelegram, served
from tests.scene import FORM, LEAD, form

SOURCE = "f3c1a09d5e7b4c628d10"
ROUTES = """\
version: 1
sources: {{crm: {{token: {source}}}}}
defaults: {{retry: {{initial: 50ms, factor: 1, max: 100ms, jitter: 0%}}, breaker: {{failures: 3}}, dead_on: [400]}}
targets: {{bot: {{url: "{bot}"}}, dwh: {{url: "{dwh}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: [bot, dwh]}}]
"""
NOTIFY = """\
notify:
  - to: {{telegram: {{token: "{token}", chat_id: {chat}, api: "{api}"}}}}
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people may wait for, tests need not."""
    moment = timedelta(milliseconds=50)
    for name in ("SPACING", "WAIT", "COUNTS_EVERY", "BACK_OFF", "CALM"):
        monkeypatch.setattr(digest, name, moment)
    monkeypatch.setattr(digest, "WAITS", {})
    monkeypatch.setattr(notifier, "TICK", 0.02)
    monkeypatch.setattr(notifier, "CLOSE_WITHIN", 0.1)


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    fake = FakeTelegram()
    async with served(fake.answer) as fake.url:
        yield fake


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    async with listening(bot=well, dwh=well) as found:
        yield found


class Scene:
    """A folder in which relays run one after another."""

    def __init__(self, folder: Path, targets: Targets, telegram: FakeTelegram) -> None:
        self.folder = folder
        self.targets = targets
        self.telegram = telegram
        self.facts: list[Signal] = []
        self.registry = CollectorRegistry()
        self.write()

    def write(self, notify: str = NOTIFY, **settings: str) -> None:
        addresses = {name: self.targets.url(name) for name in ("bot", "dwh")}
        text = ROUTES.format(source=SOURCE, **addresses) + notify.format(token=TOKEN, chat=CHAT, api=self.telegram.url)
        (self.folder / "routes.yaml").write_text(text)

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        settings = Settings(
            config=self.folder / "routes.yaml",
            store=SqliteUrl(self.folder / "relay.db"),
            listen=("127.0.0.1", 0),
            admin=("127.0.0.1", 0),
            admin_url="https://relay.example",
        )
        self.registry = CollectorRegistry()
        observe = Observer(self.registry, Log(lambda _line: None, "text", logging.INFO))

        def emit(signal: Signal) -> None:
            self.facts.append(signal)
            observe(signal)

        async with running(settings, emit=emit, registry=self.registry) as relay:
            yield relay

    async def post(self, relay: Relay, body: bytes) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url(relay.listening)}/hooks/crm/{SOURCE}", data=body, headers=FORM) as answer,
        ):
            return answer.status

    async def told(self, *texts: str) -> None:
        """Wait until each of these was in a line."""
        await until(lambda: all(any(text in line for line in self.telegram.lines) for text in texts))


@pytest.fixture
def scene(tmp_path: Path, targets: Targets, telegram: FakeTelegram) -> Scene:
    return Scene(tmp_path, targets, telegram)


async def test_a_target_that_breaks_and_comes_back_is_told_with_a_link_into_the_console(scene: Scene) -> None:
    async with scene.relay() as relay:
        scene.targets.behaviour["bot"] = always(503)
        for number in range(3):
            assert await scene.post(relay, form(LEAD | {"id": number})) == 200
        await scene.told("✗ bot: circuit open since")
        assert "https://relay.example/targets/bot" in scene.telegram.lines
        scene.targets.behaviour["bot"] = well
        await scene.told("✓ bot: back again after")
    assert len([line for line in scene.telegram.lines if "circuit open" in line]) == 1


async def test_a_test_that_the_daemon_is_asked_for_links_to_its_console(scene: Scene) -> None:
    async with (
        scene.relay() as relay,
        aiohttp.ClientSession() as session,
        session.post(f"{url(relay.admin_listening)}/api/v1/notify/test", json={}) as answer,
    ):
        assert answer.status == 200
    assert "https://relay.example/" in scene.telegram.lines


async def test_deaths_and_unreadable_webhooks_are_told(scene: Scene) -> None:
    scene.targets.behaviour["dwh"] = always(400)
    async with scene.relay() as relay:
        await scene.post(relay, form(LEAD))
        await scene.post(relay, b"\xff canary")
        await scene.told("✗ dwh: 1 delivery is dead: 400", "✗ crm: 1 webhook was not readable")
    assert not any("canary" in line for line in scene.telegram.lines)
    assert 'relay_notifications_total{outcome="sent",receiver="telegram"}' in generate_latest(scene.registry).decode()


async def test_a_restart_tells_nothing_twice_and_what_was_open_is_told_to_be_back(scene: Scene) -> None:
    scene.targets.behaviour["bot"] = always(503)
    scene.targets.behaviour["dwh"] = always(400)
    async with scene.relay() as relay:
        for number in range(3):
            await scene.post(relay, form(LEAD | {"id": number}))
        await scene.told("✗ bot: circuit open", "dead: 400")
        await until(lambda: relay.dispatcher.health()["bot"] is not Health.OK)
        await published(relay)
        before = len(scene.telegram.lines)
    async with scene.relay() as relay:
        await published(relay)
        scene.targets.behaviour["bot"] = well
        await scene.told("✓ bot: back again after")
    assert [line for line in scene.telegram.lines[before:] if line.startswith("✗")] == []


async def published(relay: Relay) -> None:
    """Wait until what was told is in the store."""

    async def there() -> bool:
        return "notify " in (await relay.store.status()).reports

    await until(there)


async def test_what_telegram_does_holds_up_neither_a_200_nor_a_delivery(scene: Scene) -> None:
    scene.telegram.hangs = True
    scene.targets.behaviour["dwh"] = always(400)
    async with scene.relay() as relay:
        for number in range(20):
            assert await scene.post(relay, form(LEAD | {"id": number})) == 200
        await until(lambda: scene.telegram.calls > 0)
        for number in range(20, 40):
            assert await scene.post(relay, form(LEAD | {"id": number})) == 200
        await until(lambda: len(scene.targets.of("bot")) >= 40)


async def test_telegram_that_is_down_is_tried_again_until_it_has_the_message(scene: Scene) -> None:
    scene.telegram.down = 502
    scene.telegram.limits = [1]
    scene.targets.behaviour["dwh"] = always(400)
    async with scene.relay() as relay:
        await scene.post(relay, form(LEAD))
        await until(lambda: scene.telegram.calls >= 3)
        scene.telegram.down = 0
        await scene.told("✗ dwh: 1 delivery is dead: 400")
    outcomes = [each.outcome for each in scene.facts if isinstance(each, Notified)]
    assert outcomes[-1] == "sent"
    assert set(outcomes[:-1]) == {"retry"}
    assert len(scene.telegram.messages) == 1


async def test_a_reload_adds_a_receiver_and_its_refusal_is_told(scene: Scene) -> None:
    scene.write(notify="")
    async with scene.relay() as relay:
        scene.write()
        await relay.reloader.reload()
        scene.write(notify=NOTIFY + "nonsense: 1\n")
        await relay.reloader.reload()
        await scene.told("✗ routes file: the newer version is refused", "nonsense")
        scene.write()
        await relay.reloader.reload()
        await scene.told("✓ routes file: the newer version is in force again")


async def test_a_signal_of_another_thread_is_taken_and_a_fault_in_it_stops_nothing(scene: Scene) -> None:
    async with scene.relay() as relay:
        low = DiskSpaceChanged(level=DiskSpace.LOW, folder="", free=2**30)
        odd = DiskSpaceChanged(level=None, folder="", free=1)
        await asyncio.to_thread(lambda: [relay._notifications(each) for each in (odd, low)])
        await scene.told("✗ disk of the store: nearly full")
        assert any(isinstance(each, Notice) and "notifications go on" in each.text for each in scene.facts)


@pytest.mark.parametrize("content", ["", "[]", "nonsense", '{"digests": {"telegram": 5}}', '{"conditions": [["odd"]]}'])
async def test_a_file_that_is_damaged_costs_what_it_said_and_nothing_else(scene: Scene, content: str) -> None:
    (scene.folder / "relay-notify.json").write_text(content)
    scene.targets.behaviour["dwh"] = always(400)
    async with scene.relay() as relay:
        await relay.store.publish("notify ", {"odd": 1}, now=relay.store.clock())
        await scene.post(relay, form(LEAD))
        await scene.told("✗ dwh: 1 delivery is dead: 400")


def test_without_receivers_nothing_of_notifications_is_imported() -> None:
    code = (
        "import sys, relay.daemon.wiring, relay.daemon.process, relay.cli.run\n"
        "print([name for name in sys.modules if name.startswith(('relay.notify', 'aiosmtplib', 'smtplib'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
