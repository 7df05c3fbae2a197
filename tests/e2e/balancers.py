"""Relays on loopback -> a balancer in front of them: HAProxy by config/haproxy.cfg."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.config.files import CONFIG
from tests.e2e.processes import RelayProcess, free_port, until
from tests.tools import tool

HAPROXY = CONFIG / "haproxy.cfg"


def haproxy_configuration(folder: Path, relays: Sequence[RelayProcess]) -> Path:
    """Ours, with these relays in place of its servers."""
    text, lines = re.subn(r'^    server a ".*\n    server b ".*\n', _servers(relays), HAPROXY.read_text(), flags=re.M)
    assert lines == 1
    text = text.replace("check port 8081 ", "check ")
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return path


def _servers(relays: Sequence[RelayProcess]) -> str:
    return "".join(
        f"    server relay-{number} 127.0.0.1:{each.port} port {each.admin_port}\n"
        for number, each in enumerate(relays)
    )


@asynccontextmanager
async def haproxy(folder: Path, relays: Sequence[RelayProcess], *, health: int = 0) -> AsyncIterator[int]:
    """The port that it listens on, once it does; at `health` it says whether a relay is up."""
    port = free_port()
    command = (tool("haproxy", "haproxy"), "-db", "-f", str(haproxy_configuration(folder, relays)))
    binds = {"HOOKS_BIND": f"127.0.0.1:{port}", "HEALTH_BIND": f"127.0.0.1:{health or free_port()}"}
    async with serving(folder / "haproxy.log", command, port, **binds):
        yield port


@asynccontextmanager
async def serving(log: Path, command: Sequence[str], port: int, **variables: str) -> AsyncIterator[None]:
    """A program, for as long as the block lasts, from when it listens on; what it says is in `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env={"PATH": "/usr/sbin:/usr/bin", **variables}
        )
    try:
        await until(lambda: connects(port))
        yield
    finally:
        process.terminate()
        await process.wait()


async def connects(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
