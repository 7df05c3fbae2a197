"""A relay on a newer aiohttp than it knows: it starts with a warning, and delivers by public API alone."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from signal import Signals

import aiohttp
import pytest

from tests.e2e.processes import TOKEN, running, until
from tests.e2e.targets import Targets, listening, well

NEWER = """\
import sys
import aiohttp
aiohttp.__version__ = "{version}"
sys.modules.update(dict.fromkeys(["relay.http.fast_connector", "relay.http.fast_client", "relay.http.fast_protocol"]))
from relay.cli import main
main()
"""
"""A daemon that finds this version, and that cannot import what stands on private names."""

ROUTES = """\
version: 1
sources: {{crm: {{token: "{token}"}}}}
targets: {{bot: {{url: "{url}"}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""
FORM = "leads[add][0][id]={id}&leads[add][0][name]=m{id}&account[id]=7&account[subdomain]=x"


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    async with listening(bot=well) as targets:
        yield targets


def command(version: str) -> tuple[str, ...]:
    return (sys.executable, "-c", NEWER.format(version=version))


async def test_on_a_newer_minor_version_webhooks_are_taken_and_delivered_with_a_warning(
    targets: Targets, tmp_path: Path
) -> None:
    routes = ROUTES.format(token=TOKEN, url=targets.url("bot"))
    async with running(tmp_path, routes, command=command("3.15.0")) as relay, aiohttp.ClientSession() as session:
        for number in range(20):
            async with session.post(relay.hook, data=FORM.format(id=number)) as response:
                assert (response.status, (await response.json())["deliveries"]) == (200, 1)
        async with session.post(f"{relay.admin}/-/reload") as response:
            assert response.status == 200
        await until(lambda: len(targets.accepted("bot")) == 20)
        assert sorted(targets.accepted("bot")) == sorted(f"m{number}" for number in range(20))
        [warning] = await relay.said("aiohttp is not known")
        assert warning["level"] == "warning"
        assert warning["detail"] == "aiohttp 3.15.0 is newer than 3.14: its plain client and server run, slower"
        relay.signal(Signals.SIGTERM)
        assert await relay.ended() == 0
        assert relay.faults() == []


@pytest.mark.parametrize("version", ["3.14.5", "3.14.4", "4.0.0"])
def test_otherwise_the_fast_ones_are_needed_or_it_does_not_start(version: str, tmp_path: Path) -> None:
    """The first shows that the daemon of the test above did without them."""
    (tmp_path / "routes.yaml").write_text(ROUTES.format(token=TOKEN, url="http://127.0.0.1:9/"))
    ended = subprocess.run(
        [*command(version), "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    reason = {"3.14.5": "fast_protocol", "3.14.4": "has known holes", "4.0.0": "newer than this relay knows"}
    assert reason[version] in ended.stderr


@pytest.mark.parametrize("value", ["Plain", "slow", "fast,plain"])
def test_another_client_than_the_two_is_one_clear_line(value: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "relay", "run"],
        cwd=tmp_path,
        env=os.environ | {"RELAY_HTTP_CLIENT": value},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert f"RELAY_HTTP_CLIENT: {value!r} is not one of 'fast', 'plain'." in ended.stderr.splitlines()[-1]
