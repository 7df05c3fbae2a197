"""`relay status` says what the running daemon has loaded, since when, and which newer file it refused and why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running, until

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{file:{folder}/token}}"}}}}
targets: {{bot: {{url: "http://127.0.0.1:9/"}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    (tmp_path / "token").write_text(TOKEN)
    async with running(tmp_path, ROUTES.format(folder=tmp_path)) as relay:
        await until(lambda: has(relay, loaded=2, refused=0))
        yield relay


async def files(relay: RelayProcess) -> dict[str, Any]:
    said: dict[str, Any] = (await relay.command("status"))["files"] or {"loaded": [], "refused": []}
    return said


async def has(relay: RelayProcess, *, loaded: int, refused: int) -> bool:
    said = await files(relay)
    return (len(said["loaded"]), len(said["refused"])) == (loaded, refused)


async def shown(relay: RelayProcess) -> str:
    store = f"--store=sqlite:///{relay.store}"
    _, printed, _ = await run(*RELAY, "status", store, RELAY_CONFIG=str(relay.routes), COLUMNS="300", TZ="UTC")
    return printed


async def test_each_active_file_is_reported_with_its_version_and_time(relay: RelayProcess, tmp_path: Path) -> None:
    token = str(tmp_path / "token")
    before = {each["file"]: each for each in (await files(relay))["loaded"]}
    assert set(before) == {str(relay.routes), token}
    assert all(each["written_at"] <= each["loaded_at"] for each in before.values())
    lines = [line for line in (await shown(relay)).splitlines() if str(tmp_path) in line]
    assert [line.split(",")[0].split()[-1] for line in lines] == [str(relay.routes), token]
    assert lines[0].startswith("loaded        ")

    (tmp_path / "new").write_text("another-token-0123456789")
    (tmp_path / "new").replace(tmp_path / "token")

    async def is_newer() -> bool:
        return await version(relay, token) != before[token]

    await until(is_newer)
    assert (await version(relay, token))["loaded_at"] > before[token]["loaded_at"]
    routes = await version(relay, str(relay.routes))
    assert routes["read_at"] > routes["loaded_at"], "that one is as it was, and was read again"
    assert routes == before[str(relay.routes)] | {"read_at": routes["read_at"]}


async def version(relay: RelayProcess, file: str) -> dict[str, Any]:
    return next(each for each in (await files(relay))["loaded"] if each["file"] == file)


async def test_a_rejected_file_is_reported_with_its_reason_until_it_is_mended(
    relay: RelayProcess, tmp_path: Path
) -> None:
    good, before = relay.routes.read_text(), (await files(relay))["loaded"]
    relay.routes.write_text(good.replace("to: bot", "to: bott"))
    await until(lambda: has(relay, loaded=2, refused=1))
    said = await files(relay)
    assert said["loaded"] == before
    [refused] = said["refused"]
    assert [each["file"] for each in refused["files"]] == [str(relay.routes)]
    assert "no target 'bott'" in refused["problems"][0]
    printed = await shown(relay)
    assert f": {relay.routes} changed " in printed
    assert "no target 'bott'" in printed
    relay.routes.write_text(good)
    await until(lambda: has(relay, loaded=2, refused=0))
    (tmp_path / "token").unlink()
    await until(lambda: has(relay, loaded=2, refused=1))
    [refused] = (await files(relay))["refused"]
    assert refused["files"] == [{"file": str(tmp_path / "token"), "written_at": None}]
    assert "does not exist" in refused["problems"][0]
    assert f"{tmp_path / 'token'} not there" in await shown(relay)


async def test_nothing_is_loaded_where_no_daemon_runs(relay: RelayProcess) -> None:
    await relay.kill()
    assert (await relay.command("status"))["files"] is None
    assert "loaded" not in await shown(relay)
