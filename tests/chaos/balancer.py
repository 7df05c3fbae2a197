"""config/haproxy.cfg on loopback, in front of what the test has started."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import trustme

from tests.e2e.processes import TOKEN, free_port, until
from tests.tools import tool

SAMPLE = Path(__file__).parent.parent.parent / "config" / "haproxy.cfg"
CERTIFICATE = "ssl crt /etc/haproxy/hooks.example.com.pem"
Ports: TypeAlias = tuple[int, int]
"""Of one relay: where it takes webhooks, where /readyz is."""


def configuration(folder: Path, port: int, relays: Sequence[Ports], *, tls: bool = False) -> Path:
    """The sample with addresses of loopback; plain HTTP unless `tls`."""
    text = SAMPLE.read_text().replace("bind :443", f"bind 127.0.0.1:{port}")
    text = text.replace(f" {CERTIFICATE}", f" ssl crt {_certificate(folder)}" if tls else "")
    text, checks = re.subn(r"check port \d+", "check", text)
    text, servers = re.subn(r"^    server .*\n", "", text, flags=re.MULTILINE)
    assert (checks, servers) == (1, 2), "the sample has another form"
    lines = (f"    server relay{n} 127.0.0.1:{port} port {admin}\n" for n, (port, admin) in enumerate(relays, 1))
    path = folder / "haproxy.cfg"
    path.write_text(text.rstrip() + "\n" + "".join(lines))
    return path


@asynccontextmanager
async def balancing(folder: Path, relays: Sequence[Ports]) -> AsyncIterator[str]:
    """The address to post to, once HAProxy listens and finds a relay ready."""
    port = free_port()
    path = configuration(folder, port, relays)
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            tool("haproxy", "haproxy"), "-db", "-f", str(path), stdout=log, stderr=log
        )
    try:
        await until(lambda: _connects(port))
        await asyncio.sleep(1.2)  # two checks: before them it believes every relay
        yield f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"
    finally:
        process.terminate()
        await process.wait()


def _certificate(folder: Path) -> Path:
    path = folder / "hooks.example.com.pem"
    trustme.CA().issue_cert("hooks.example.com").private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
