"""A relay with as few rights as the container and the unit give it, and one under an interpreter that is strict."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.e2e.processes import RELAY, RelayProcess, run, running
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, well
from tests.tools import demand_root, tool

NOBODY = 65_534
STRICT = (sys.executable, "-O", "-W", "error", "-m", "relay")

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
  good: {{url: "{good}"}}
routes:
  - {{name: all, match: {{}}, to: good}}
"""

CONFINE = """\
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
while read -r _ _ _ _ mounted _; do
  mount -o remount,bind,ro "$mounted" 2>/dev/null || true
done </proc/self/mountinfo
mount -o remount,bind,rw "$0"
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""
"""Of all that is mounted the folder $0 alone stays writable; then what follows, as nobody."""


async def delivers(folder: Path, command: Sequence[str]) -> RelayProcess:
    """One webhook is delivered, and the relay ends as it should; its log is what is left."""
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(good=well))
        routes = ROUTES.format(good=targets.url("good"))
        relay = await stack.enter_async_context(running(folder, routes, command=command))
        await post_lead(relay.hook, "m1")
        await relay.drained()
        assert targets.accepted("good") == ["m1"]
        assert "relay_attempts_total" in await relay.get("/metrics")
        relay.signal(SIGTERM)
        assert await relay.ended() == 0
        assert relay.faults() == []
        return relay


@pytest.fixture
def folder() -> Iterator[Path]:
    """Nobody's own, and in folders that anybody may pass."""
    demand_root()
    path = Path(tempfile.mkdtemp(prefix="relay-", dir="/var/tmp"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


async def test_nobody_with_one_folder_to_write_to_is_enough(folder: Path) -> None:
    confined = (tool("unshare", "util-linux"), "--mount", "sh", "-c", CONFINE, str(folder))
    tool("setpriv", "util-linux")
    code, _, complaint = await run(*confined, "touch", "/tmp/relay-was-here")
    assert code == 1 and "Read-only file system" in complaint, "or nothing would be shown"
    await delivers(folder, (*confined, *RELAY))
    assert (folder / "relay.db").stat().st_uid == NOBODY


@pytest.mark.parametrize("flags", [STRICT], ids=["-O -W error"])
async def test_no_assert_and_no_warning_carries_anything(flags: Sequence[str], tmp_path: Path) -> None:
    relay = await delivers(tmp_path, flags)
    assert "Warning" not in relay.log.read_text()
