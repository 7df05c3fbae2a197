"""A relay ÷ hookspool 0.2.0, the closest durable webhook spool: acks/s, drain rate, memory, in the same rounds.

Each round, on either side: pause the target, post for some seconds over 16 connections, resume, wait until the receiver
has all. hookspool is set up as its documentation does, with its own defaults: `hookspool intake` and `hookspool
dispatch` as two processes, a template source with a token in a header, no dedup, one HTTP destination with
`unwrap = true` (one request per event, as the relay's), no coalescing window, its spool in WAL mode with
synchronous=FULL. 16 connections are as many as its intake serves at once. It takes JSON only and gets the event as
JSON; the relay gets the webhook and makes the event of it. Every request is of another lead, and leads are what it
groups by; a second source puts all under one key, which it delivers in batches of up to 500, its best case.
The drain rate is what the receiver sees between its first and its last event.
"""

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.bench.footprint import MEGABYTE
from tests.bench.rounds import Plan, Rounds, alternating
from tests.bench.servers import Receiver, Relay, end, listening, receiving, relaying
from tests.bench.table import Goal, Row
from tests.bench.tools import tool
from tests.bench.wrk import WEBHOOK, BenchFailed, Content, Load, load
from tests.e2e.processes import TOKEN, free_port, run, variables

CONNECTIONS = 16
GOAL = Goal(at_least=10)
EVENT = (
    '{"id":"01998f00-0000-7000-8000-000000000000","type":"leads.status","timestamp":"2026-11-22T10:53:00.123Z",'
    '"source":"crm","account":{"id":30550077,"subdomain":"northwind"},"entity":"leads","action":"status",'
    '"data":{"id":{id},"status_id":16001,"pipeline_id":5200,"old_status_id":16000,"old_pipeline_id":5100}}'
)
CONFIG = """\
[spool]
home = "{home}"
[intake]
listen = "127.0.0.1:{port}"
[alerts]
dry = true
[destinations.bot]
type = "http"
url = "{url}"
allow_insecure = true
unwrap = true
secret = {{ file = "{secret}" }}
[sources.crm]
module = "hookspool.sources.template"
scheme = "shared-secret-header"
header = "X-Token"
key = "data.id"
action = "bot"
secrets.secret = {{ file = "{secret}" }}
[sources.batched]
module = "hookspool.sources.template"
scheme = "shared-secret-header"
header = "X-Token"
key = "literal:all"
action = "bot"
secrets.secret = {{ file = "{secret}" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """One round of one side: what was posted, deliveries a second afterwards, and megabytes when they were done."""

    acks: Load
    rate: float
    memory: float


class Hookspool:
    """Both of its processes; `source` is where to post."""

    def __init__(self, command: str, home: Path, port: int, processes: Sequence[Process], source: str = "crm") -> None:
        self._command = command
        self._home = home
        self._port = port
        self._processes = processes
        self._source = source

    @property
    def url(self) -> str:
        """Where events go."""
        return f"http://127.0.0.1:{self._port}/hooks/{self._source}"

    @property
    def pids(self) -> list[int]:
        """Intake and dispatcher."""
        return [process.pid for process in self._processes]

    def at(self, source: str) -> "Hookspool":
        """The same, posted to there."""
        return Hookspool(self._command, self._home, self._port, self._processes, source)

    async def pause(self) -> None:
        """Its deliveries wait."""
        await self._tell("pause")

    async def resume(self) -> None:
        """And go on."""
        await self._tell("resume")

    async def _tell(self, verb: str) -> None:
        code, printed, complaint = await run(self._command, verb, "bot", HOOKSPOOL_HOME=str(self._home))
        if code:
            raise BenchFailed(f"hookspool {verb}: {printed}{complaint}")


async def measure(plan: Plan) -> list[Row]:
    """The relay and hookspool twice: a key for each lead, one key for all."""
    webhook, event = _contents(plan.folder)
    async with (
        receiving() as receiver,
        relaying(plan.folder / "peer", receiver.urls(1)) as relay,
        _spooling(plan, receiver) as spool,
    ):
        rounds = await alternating(
            plan,
            relay=partial(_round, plan, relay, receiver, webhook),
            spool=partial(_round, plan, spool, receiver, event),
            batched=partial(_round, plan, spool.at("batched"), receiver, event),
        )
    return _rows(rounds)


async def _round(plan: Plan, server: Relay | Hookspool, receiver: Receiver, content: Content) -> Drained:
    await server.pause()
    await receiver.forget()
    acks = await load(server, connections=CONNECTIONS, seconds=plan.seconds, content=content)
    await server.resume()
    figures = await _all_there(receiver, acks.requests)
    return Drained(
        acks=acks,
        rate=(figures["taken"] - 1) / (figures["last"] - figures["first"]),
        memory=sum(psutil.Process(pid).memory_info().rss for pid in server.pids) / MEGABYTE,
    )


async def _all_there(receiver: Receiver, wanted: int) -> dict[str, float]:
    """Its figures once nothing more comes; wrk does not count its last requests, those it got no answer to."""
    await receiver.has(wanted)
    figures = await receiver.quiet()
    if figures["taken"] > wanted + CONNECTIONS:
        raise BenchFailed(f"{figures['taken']} have come where {wanted} were sent")
    return figures


def _contents(folder: Path) -> tuple[Content, Content]:
    """The webhook, and the event that the relay makes of it, each with {id} where the lead's is."""
    webhook, event = folder / "webhook.form", folder / "event.json"
    webhook.write_bytes(WEBHOOK.body.read_bytes().replace(b"=41001&", b"={id}&"))
    event.write_text(EVENT)
    return Content(body=webhook), Content(body=event, type="application/json", more={"WRK_TOKEN": TOKEN})


@asynccontextmanager
async def _spooling(plan: Plan, receiver: Receiver) -> AsyncIterator[Hookspool]:
    command = str(tool("hookspool"))
    home, port = plan.folder / "hookspool", free_port()
    home.mkdir()
    secret = home / "secret"
    secret.write_text(TOKEN)
    secret.chmod(0o600)
    url = receiver.urls(1)[0]
    (home / "config.toml").write_text(CONFIG.format(home=home, port=port, url=url, secret=secret))
    code, printed, complaint = await run(command, "migrate", HOOKSPOOL_HOME=str(home))
    if code:
        raise BenchFailed(f"hookspool migrate: {printed}{complaint}")
    processes: list[Process] = []
    try:
        with (home / "log").open("ab") as log:
            for part in ("dispatch", "intake"):
                environment = variables(HOOKSPOOL_HOME=str(home))
                processes.append(await asyncio.create_subprocess_exec(command, part, stderr=log, env=environment))
        await listening(processes[-1], port)
        yield Hookspool(command, home, port, processes)
    except BenchFailed:
        print((home / "log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        for process in processes:
            await end(process)


def _rows(rounds: Rounds[Drained]) -> list[Row]:
    ours, theirs, batched = (rounds.samples[name] for name in ("relay", "spool", "batched"))
    peer = {"bench": "peer", "beside": "hookspool", "others": rounds.others}
    return [
        Row(
            what=f"{CONNECTIONS} connections, acks",
            unit="/s",
            ours=[each.acks.rate for each in ours],
            theirs=[each.acks.rate for each in theirs],
            goal=GOAL,
            **peer,
        ),
        Row(
            what=f"{CONNECTIONS} connections, p99",
            unit="ms",
            ours=[each.acks.p99 for each in ours],
            theirs=[each.acks.p99 for each in theirs],
            **peer,
        ),
        Row(
            what=f"{CONNECTIONS} connections, processor",
            unit="µs/ack",
            ours=[each.acks.cpu for each in ours],
            theirs=[each.acks.cpu for each in theirs],
            **peer,
        ),
        Row(
            what="drain of what was paused",
            unit="events/s",
            ours=[each.rate for each in ours],
            theirs=[each.rate for each in theirs],
            goal=GOAL,
            **peer,
        ),
        Row(
            what="drain, all under one key of its own",
            unit="events/s",
            ours=[each.rate for each in ours],
            theirs=[each.rate for each in batched],
            **peer,
        ),
        Row(
            what="memory after it",
            unit="MB",
            ours=[each.memory for each in ours],
            theirs=[each.memory for each in theirs],
            **peer,
        ),
    ]
