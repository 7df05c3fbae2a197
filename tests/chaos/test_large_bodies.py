"""Hundreds of large webhooks at once: the relay's memory stays bounded, and small ones are taken beside them."""

import asyncio
from asyncio import StreamReader
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import scaled
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY, RelayProcess, running
from tests.e2e.sender import body, lead

ROUNDS = scaled(5)
TOGETHER = 400
SIZE = 1_048_000
BOUND = 512  # MB
EVERY = 0.1  # seconds, a small webhook
PATIENCE = 120.0  # seconds for a response: a bound of a hang
CROWDED = b"too many webhooks, or too large ones, at once"

ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {well: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {entity: contacts}, to: well}]
"""
LONG = body("leads[status][0]", lead(1, "x" * SIZE, 1))
MANY = b"&".join(body(f"leads[status][{n}]", lead(n, "x" * 250, 1)) for n in range(1_200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Statuses of large and of small webhooks, and the most memory there was.

    `crowded_out` counts the small ones that were refused because large ones had all the memory.
    """

    large: Counter[int]
    small: Counter[int]
    crowded_out: int
    peak: float

    def __str__(self) -> str:
        return (
            f"large {dict(self.large)}, small beside them {dict(self.small)}, {self.crowded_out} of these crowded out;"
            f" at most {self.peak:.0f} MB"
        )


async def flood(
    folder: Path, content: bytes, rounds: int, command: Sequence[str] = RELAY, *, together: int = TOGETHER
) -> Seen:
    large: Counter[int] = Counter()
    small: Counter[int] = Counter()
    crowded_out = 0
    async with running(folder, ROUTES, command=command) as relay:
        assert relay.process
        for _ in range(rounds):
            posting = asyncio.gather(*(post(relay, content) for _ in range(together)))
            while not posting.done():
                status, said = await post(relay, body("leads[status][0]", lead(1, "small", 1)))
                small[status] += 1
                crowded_out += CROWDED in said
                await asyncio.wait([posting], timeout=EVERY)
            large.update(status for status, _said in await posting)
        assert not relay.faults()
        return Seen(large=large, small=small, crowded_out=crowded_out, peak=peak_of(relay.process.pid))


def peak_of(pid: int) -> float:
    """Return the most memory that a process has had, in MB, as the kernel counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    [kibibytes] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    return kibibytes * 1024 / 1e6


async def post(relay: RelayProcess, content: bytes) -> tuple[int, bytes]:
    """Return status and body of the response; 0 and nothing if there was none."""
    path = urlsplit(relay.hook).path
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(content)}\r\n\r\n".encode())
            writer.write(content)
            try:
                return await response(reader)
            finally:
                writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError):
        return 0, b""


async def response(reader: StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split()[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:"))
    return int(head.split()[1]), await reader.readexactly(length)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("content", [LONG, MANY], ids=["one long field", "many events"])
async def test_large_webhooks_together_take_no_more_memory_than_there_is(
    content: bytes, tmp_path: Path, report: Report
) -> None:
    seen = await flood(tmp_path, content, ROUNDS)
    report("large bodies", f"{ROUNDS} x {TOGETHER} of {len(content) / 1e6:.1f} MB at once: {seen}")
    assert seen.peak < BOUND
    assert seen.large.keys() <= {200, 503}
    assert seen.large[200]
    # a 503 for a commit that took too long is the machine's, and that webhook is kept all the same
    assert seen.small.keys() <= {200, 503}
    assert seen.small[200]
    assert not seen.crowded_out


@pytest.mark.timeout(300 * TRIALS)
async def test_a_relay_that_takes_all_there_is_is_found_guilty(tmp_path: Path, report: Report) -> None:
    async def grows(folder: Path, _seed: int) -> bool:
        seen = await flood(folder, LONG, 1, sabotaged("takes_all"), together=600)
        report("large bodies, sabotaged", str(seen))
        return seen.peak > BOUND

    assert await found_guilty(tmp_path, grows)
