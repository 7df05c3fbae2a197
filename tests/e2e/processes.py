"""A routes file -> a relay in a process of its own, that can be asked, stopped, killed and started again.

It keeps its folder, store and ports from one start to the next, as a service would.
"""

import asyncio
import json
import os
import random
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import Signals
from time import monotonic
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 40.0
"""Seconds within which anything happens, also on a busy machine; mostly it takes one or two. A bound of a hang."""

TOKEN = "5b1f0c9e7a3d48268e4f"
RELAY = (sys.executable, "-m", "relay")
PASS = """\
import fcntl, os, sys
command = sys.argv[2:]
passed = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 100) for each in sys.argv[1].split(",")]
for position, each in enumerate(passed):
    os.dup2(each, 3 + position)
os.environ.update(LISTEN_FDS=str(len(passed)), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""
"""What systemd does for a service with sockets: they are descriptors from 3 up, and its variables say so."""


def passing(*sockets: socket.socket) -> tuple[str, ...]:
    """What to put before a command so that it is started with these, which it must inherit."""
    return (sys.executable, "-ISc", PASS, ",".join(str(each.fileno()) for each in sockets))


class RelayProcess:
    """One relay: `folder` holds its routes file, store and log. `command` is what to run, up to the subcommand.

    With a socket that is `passed` it listens there, as under systemd; it stays open from one start to the next.
    `more` are variables for it. `store` is a URL, of PostgreSQL: then `folder` holds its spool.
    """

    def __init__(
        self,
        folder: Path,
        routes: str,
        *,
        command: Sequence[str] = RELAY,
        passed: socket.socket | None = None,
        store: str = "",
        **more: str,
    ) -> None:
        self.routes = folder / "routes.yaml"
        self.routes.write_text(routes)
        self.store = folder / "relay.db"
        self.spool = folder / "spool.db"
        self._shared = store
        self.log = folder / "relay.log"
        self.port, self.admin_port = free_port(), free_port()
        self.process: Process | None = None
        self._command = command
        self._more = more
        self._inherited: tuple[int, ...] = ()
        if passed:
            self.port = passed.getsockname()[1]
            self._command = (*passing(passed), *command)
            self._inherited = (passed.fileno(),)

    @property
    def store_url(self) -> str:
        """PostgreSQL's, or that of `store`, which a test may have put on another disk."""
        return self._shared or f"sqlite:///{self.store}"

    @property
    def arguments(self) -> list[str]:
        """Of its process; of a flag that is added once more the last one counts."""
        spool = [f"--spool={self.spool}"] if self._shared else []
        return [
            *self._command,
            "run",
            f"--config={self.routes}",
            f"--store={self.store_url}",
            *spool,
            f"--listen=127.0.0.1:{self.port}",
            f"--admin=127.0.0.1:{self.admin_port}",
            "--log-format=json",
            "--log-level=debug",
        ]

    @property
    def hook(self) -> str:
        """Where amoCRM posts to."""
        scheme = "https" if "RELAY_TLS_CERT" in self._more else "http"
        return f"{scheme}://127.0.0.1:{self.port}/hooks/crm/{TOKEN}"

    @property
    def admin(self) -> str:
        """The private listener."""
        return f"http://127.0.0.1:{self.admin_port}"

    # ---- its life

    async def start(self) -> float:
        """Seconds until it was ready."""
        started = monotonic()
        await self.spawn()
        await until(self._ready)
        return monotonic() - started

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments, stderr=log, env=variables(**self._more), pass_fds=self._inherited
            )

    def signal(self, signal: Signals) -> None:
        """Send it; see `ended`."""
        assert self.process
        self.process.send_signal(signal)

    async def kill(self) -> None:
        """SIGKILL, if it still runs: no chance to finish anything."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def drained(self) -> None:
        """Wait until no target has a pending delivery."""
        await until(self._owes_nothing, 2 * PATIENCE)

    # ---- what it says

    async def command(self, *arguments: str) -> Any:
        """What `relay …` says of this store, as JSON."""
        store = f"--store={self.store_url}"
        code, printed, complaint = await run(*RELAY, *arguments, store, "--json", RELAY_CONFIG=str(self.routes))
        assert code == 0, complaint
        return json.loads(printed)

    async def get(self, path: str) -> str:
        """From the private listener."""
        async with aiohttp.ClientSession() as session, session.get(self.admin + path) as answer:
            return await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels."""
        families = text_string_to_metric_families(await self.get("/metrics"))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    async def buckets(self, name: str) -> dict[float, float]:
        """Of a histogram without labels: how many observations came to at most each bound."""
        families = text_string_to_metric_families(await self.get("/metrics"))
        samples = [sample for family in families for sample in family.samples if sample.name == f"{name}_bucket"]
        return {float(each.labels["le"]): each.value for each in samples}

    def faults(self) -> list[dict[str, Any]]:
        """The log's lines about what went wrong inside."""
        return [line for line in self._lines() if line["level"] == "error"]

    async def said(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        """Its `lines`, once there are so many: what has happened is in the log a moment later."""
        await until(lambda: len(self.lines(message)) >= times)
        return self.lines(message)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Those of the log that say `message` by now; one cut short by a kill is left out."""
        return [line for line in self._lines() if line["message"] == message]

    def _lines(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [_last_object(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def _demand_life(self) -> None:
        assert self.process
        assert self.process.returncode is None, f"it ended: {self.log.read_text()[-2000:]}"

    async def _owes_nothing(self) -> bool:
        self._demand_life()
        targets = (await self.command("status"))["targets"]
        return not any(target["pending"] for target in targets)

    async def _ready(self) -> bool:
        self._demand_life()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running(
    folder: Path,
    routes: str,
    *,
    command: Sequence[str] = RELAY,
    passed: socket.socket | None = None,
    **more: str,
) -> AsyncIterator[RelayProcess]:
    """A relay that is ready; whatever happens, it does not outlive the block."""
    relay = RelayProcess(folder, routes, command=command, passed=passed, **more)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.kill()


async def run(*command: str, **more: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends; `more` are variables."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=variables(**more))
    try:
        async with asyncio.timeout(PATIENCE):
            printed, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode(), complaint.decode()


def variables(**more: str) -> dict[str, str]:
    """Ours without any that a relay looks at, and the token; the tests' disk is for the tests, so no ballast."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RELAY_") and not name.upper().endswith("_PROXY")
    }
    return ours | {"TOKEN": TOKEN, "RELAY_BALLAST": "0"} | more


async def until(holds: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Wait for something outside this process, which cannot tell us when."""
    deadline = monotonic() + seconds
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return
        assert monotonic() < deadline, f"not within {seconds} s: {holds.__qualname__}"
        await asyncio.sleep(0.05)


def free_port() -> int:
    """One that nobody has, and that the kernel gives to no outgoing connection while the relay is down."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _last_object(line: str) -> dict[str, Any]:
    """A log line; a kill may have cut off the one before it, which then has no line end."""
    return json.loads(line[line.rindex('{"time":') :])  # type: ignore[no-any-return]
