"""Routes, ports -> the processes that are measured: relay, bare server, receiver. None outlives its block."""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

from tests.bench.wrk import HERE, WEBHOOK, BenchFailed, Content
from tests.e2e.processes import PATIENCE, RELAY, TOKEN, RelayProcess, free_port, run, until, variables

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
{targets}
routes:
  - {{name: leads, match: {{entity: leads, action: [status, update, add]}}, to: [{names}]}}
  - {{name: won, match: {{entity: leads, status_id: won}}, to: [{names}]}}
  - {{name: elsewhere, match: {{entity: leads, pipeline_id: 1, status_id: [2, 3]}}, to: [{names}]}}
"""
NAMED = (sys.executable, "-P", str(HERE / "named_threads.py"))
SETTLED_WITHIN = 120.0
DEFAULT = 8  # of `concurrency`


def routes(urls: Sequence[str], at_once: int = DEFAULT) -> str:
    """Three routes, of which one takes each lead of leads.py, to targets at these, with so many attempts at once."""
    targets = [f'  bot{number}: {{url: "{url}", concurrency: {at_once}}}' for number, url in enumerate(urls)]
    return ROUTES.format(targets="\n".join(targets), names=", ".join(f"bot{number}" for number in range(len(urls))))


class Relay(RelayProcess):
    """A relay as its unit file runs it: `relay run`, everything as shipped."""

    @property
    def arguments(self) -> list[str]:
        return [*super().arguments, "--log-format=text", "--log-level=info"]

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return self.hook

    @property
    def pids(self) -> list[int]:
        """Its process."""
        assert self.process
        return [self.process.pid]

    async def accepted(self) -> int:
        """Webhooks so far that were kept, by its own count."""
        return int(await self.metric("relay_webhooks_total", outcome="accepted"))

    async def settled(self) -> int:
        """Deliveries so far that the store has as delivered."""
        return int(await self.metric("relay_attempts_total", outcome="delivered"))

    async def pending(self) -> int:
        """Deliveries that were owed within the last second."""
        return int(await self.metric("relay_deliveries_pending"))

    async def pause(self, target: str = "bot0") -> None:
        """Its deliveries wait."""
        await self._tell("pause", target)
        await self.paused(target)

    async def paused(self, target: str = "bot0") -> None:
        """Wait until this relay knows it."""
        await until(lambda: self._is(target, "paused"))

    async def resume(self, target: str = "bot0") -> None:
        """And go on."""
        await self._tell("resume", target)

    async def _tell(self, *arguments: str) -> None:
        store, config = f"--store={self.store_url}", str(self.routes)
        code, _, complaint = await run(*self._command, *arguments, store, **self._more | {"RELAY_CONFIG": config})
        if code:
            raise BenchFailed(f"relay {' '.join(arguments)}: {complaint}")

    async def _is(self, target: str, state: str) -> bool:
        return await self.metric("relay_target_state", target=target, state=state) == 1


def made(
    folder: Path, urls: Sequence[str], *, at_once: int = DEFAULT, command: Sequence[str] = RELAY, **more: str
) -> Relay:
    """A relay with a target at each of these, to be started."""
    folder.mkdir(exist_ok=True)
    return Relay(folder, routes(urls, at_once), command=command, **more)


@asynccontextmanager
async def relaying(
    folder: Path, urls: Sequence[str], *, at_once: int = DEFAULT, command: Sequence[str] = RELAY, **more: str
) -> AsyncIterator[Relay]:
    """A relay with a target at each of these, ready. NAMED is the `command` of one that is measured by thread."""
    relay = made(folder, urls, at_once=at_once, command=command, **more)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.kill()


class Other:
    """A server of ours that is no relay."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.base = f"http://127.0.0.1:{port}/"

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return f"{self.base}hooks/crm/{TOKEN}"

    @property
    def pids(self) -> list[int]:
        """Its process."""
        return [self._process.pid]


@asynccontextmanager
async def other(module: str, *arguments: str) -> AsyncIterator[Other]:
    """`python -m tests.bench.<module> PORT …`, once it listens."""
    port = free_port()
    command = (sys.executable, "-m", f"tests.bench.{module}", str(port), *arguments)
    process = await asyncio.create_subprocess_exec(*command, env=variables())
    try:
        await listening(process, port)
        yield Other(process, port)
    finally:
        await end(process)


async def listening(process: Process, port: int) -> None:
    """Wait until it does; BenchFailed if it has ended instead."""
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        if process.returncode is not None:
            raise BenchFailed(f"what was to listen on {port} has ended with {process.returncode}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise BenchFailed(f"nobody listens on {port}")


async def end(process: Process) -> None:
    """Kill it, if it still runs."""
    if process.returncode is None:
        process.kill()
        await process.wait()


class Receiver:
    """What events end at; see receiver.py."""

    def __init__(self, server: Other, session: aiohttp.ClientSession) -> None:
        self.base = server.base
        self.pids = server.pids
        self._session = session

    def urls(self, targets: int) -> list[str]:
        """Addresses for that many targets."""
        return [f"{self.base}{number}" for number in range(targets)]

    async def figures(self) -> dict[str, Any]:
        """What it has taken since it forgot."""
        async with self._session.get(self.base) as answer:
            return json.loads(await answer.read())  # type: ignore[no-any-return]

    async def lags(self) -> list[float]:
        """Of each event since it forgot, in seconds; in order of size."""
        async with self._session.get(f"{self.base}lags") as answer:
            return sorted(json.loads(await answer.read()))

    async def forget(self) -> None:
        """Begin anew."""
        async with self._session.delete(self.base) as answer:
            answer.raise_for_status()

    async def quiet(self, seconds: float = 0.5) -> dict[str, Any]:
        """Its figures, once nothing more has come for so long."""
        figures = await self.figures()
        while True:
            await asyncio.sleep(seconds)
            before, figures = figures, await self.figures()
            if figures["taken"] == before["taken"]:
                return figures

    async def has(self, wanted: int, seconds: float = SETTLED_WITHIN) -> dict[str, Any]:
        """Its figures, once it has taken so many."""
        deadline = monotonic() + seconds
        while (figures := await self.figures())["taken"] < wanted:
            if monotonic() > deadline:
                raise BenchFailed(f"the receiver has {figures['taken']} of {wanted} after {seconds:.0f} s")
            await asyncio.sleep(0.02)
        return figures


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver in a process of its own."""
    async with other("receiver") as server, aiohttp.ClientSession() as session:
        yield Receiver(server, session)


async def paced(relay: Relay, rate: float, seconds: float, content: Content = WEBHOOK) -> dict[str, Any]:
    """What pace.py says of webhooks at that rate, and on standard error how many were sent again; BenchFailed if it
    could not keep the rate.
    """
    command = (sys.executable, "-m", "tests.bench.pace", relay.url, str(content.body), str(rate), str(seconds))
    code, printed, complaint = await run(*command)
    if code:
        raise BenchFailed(f"pace: {complaint}")
    kept: dict[str, Any] = json.loads(printed)
    if kept["resent"]:
        print(f"{kept['resent']} posts were sent again: their connections were closed unanswered", file=sys.stderr)
    if kept["rate"] < 0.95 * rate:
        raise BenchFailed(f"the machine could not send {rate:.0f} a second, only {kept['rate']:.0f}")
    return kept
