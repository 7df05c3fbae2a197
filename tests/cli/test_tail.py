"""`relay tail`: what it shows of a running relay, to people at 80 columns and to programs."""

import asyncio
import json
import shlex
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from relay.cli.tail import _show
from tests.cli.conftest import ESCAPE, Run, on_terminal, plain
from tests.e2e.processes import RELAY, TOKEN, RelayProcess, free_port, running, variables
from tests.e2e.sender import post, post_lead
from tests.e2e.targets import listening, refusing, well

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms, max: 500ms}}}}
targets:
  bot: {{url: "{bot}"}}
  dwh: {{url: "{dwh}"}}
routes:
  - {{name: all, match: {{entity: leads}}, to: [bot, dwh]}}
"""


class Tail:
    """A `relay tail --json` that runs."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode()

    async def told(self) -> dict[str, object]:
        return json.loads(await self.line())

    async def noted(self) -> str:
        assert self._process.stderr
        async with asyncio.timeout(20):
            return (await self._process.stderr.readline()).decode()


@asynccontextmanager
async def tailing(relay: RelayProcess, *arguments: str) -> AsyncIterator[Tail]:
    process = await asyncio.create_subprocess_exec(
        *RELAY,
        "tail",
        "--json",
        f"--admin=127.0.0.1:{relay.admin_port}",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env=variables(TZ="UTC"),
    )
    try:
        tail = Tail(process)
        assert (
            await tail.noted() == f"following the relay at 127.0.0.1:{relay.admin_port}, until Ctrl-C; times are UTC\n"
        )
        yield tail
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[RelayProcess]:
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(bot=well, dwh=refusing(1)))
        urls = {name: targets.url(name) for name in targets.behaviour}
        yield await stack.enter_async_context(running(folder, ROUTES.format(**urls)))


async def test_an_event_and_every_attempt_are_reported_as_they_happen(tmp_path: Path) -> None:
    async with scene(tmp_path) as relay, tailing(relay) as tail:
        webhook = await post_lead(relay.hook, "m1")
        told = [await tail.told() for _ in range(4)]
        assert (told[0]["what"], told[0]["webhook"], told[0]["routes"]) == ("event", webhook, ["all"])
        attempts = {(each["target"], each["attempt"]): each["verdict"] for each in told[1:]}
        assert attempts == {("bot", 1): "delivered", ("dwh", 1): "retry", ("dwh", 2): "delivered"}
        assert {each["event"] for each in told} == {told[0]["event"]}


async def test_only_what_failed_and_only_one_target_is_shown_on_request(tmp_path: Path) -> None:
    async with scene(tmp_path) as relay, tailing(relay, "--target=dwh", "--failed") as tail:
        await post_lead(relay.hook, "m1")
        await post_lead(relay.hook, "m2")
        told = [await tail.told() for _ in range(2)]
        assert {(each["target"], each["attempt"], each["verdict"]) for each in told} == {("dwh", 1, "retry")}


async def test_a_webhook_that_came_to_a_wrong_address_is_shown_as_one_that_failed(tmp_path: Path) -> None:
    async with scene(tmp_path) as relay, tailing(relay, "--failed") as tail, aiohttp.ClientSession() as session:
        for path in ("/", "/.env", f"/crm/{TOKEN}"):
            async with session.post(f"http://127.0.0.1:{relay.port}{path}", data=b"leads[add][0][id]=7") as answer:
                assert answer.status == 404
        told = await tail.told()
        assert (told["what"], told["outcome"], told["address"]) == ("refused", "misaddressed", "POST /crm/***")


async def test_a_relay_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as relay, tailing(relay, "--failed") as tail:
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert "has gone; waiting for it" in await tail.noted()
        await relay.start()
        assert "following" in await tail.noted()
        await post(relay.hook, b"hello")
        assert (await tail.told())["what"] == "unparsed"


async def test_a_reader_that_went_away_ends_it_quietly(tmp_path: Path) -> None:
    async with running(tmp_path, ROUTES.format(bot="http://127.0.0.1:9/", dwh="http://127.0.0.1:9/")) as relay:
        command = f"{shlex.join(RELAY)} tail --json --admin=127.0.0.1:{relay.admin_port} | head -n 1"
        shell = ["bash", "-c", f"set -o pipefail; {command}"]
        process = await asyncio.create_subprocess_exec(*shell, stdout=PIPE, stderr=PIPE, env=variables())
        try:
            assert process.stdout and process.stderr
            async with asyncio.timeout(20):
                assert b"following" in await process.stderr.readline()
                while process.returncode is None:
                    await post_lead(relay.hook, "m")
                    await asyncio.sleep(0.1)
                assert (process.returncode, await process.stderr.read()) == (0, b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_without_a_relay_it_says_so_in_a_line(run: Run) -> None:
    admin = f"127.0.0.1:{free_port()}"
    ended = await asyncio.to_thread(run, "tail", "--admin", admin)
    assert (ended.exit_code, ended.stderr) == (
        1,
        f"relay: no relay answers at {admin} (Connection refused): is it running? name its --admin address\n",
    )


async def test_a_relay_with_a_token_wants_it(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    token, nowhere = "an-admin-token-0123456789", "http://127.0.0.1:1"
    relay = RelayProcess(tmp_path, ROUTES.format(bot=nowhere, dwh=nowhere), RELAY_ADMIN_TOKEN=token)
    await relay.spawn()
    try:
        await relay.said("ready")
        ended = await asyncio.to_thread(run, "tail", "--admin", f"127.0.0.1:{relay.admin_port}")
        assert (ended.exit_code, "RELAY_ADMIN_TOKEN" in ended.stderr) == (1, True)
        monkeypatch.setenv("RELAY_ADMIN_TOKEN", token)
        shown = await asyncio.to_thread(
            on_terminal, "tail", f"--admin=0.0.0.0:{relay.admin_port}", until="until Ctrl-C"
        )
        assert "following the relay at 127.0.0.1" in shown
        url = f"--relay=http://127.0.0.1:{relay.admin_port}"
        for given, said in (("wrong", "is not one of its: was it replaced"), ("", "wants a token: set RELAY_TOKEN\n")):
            monkeypatch.setenv("RELAY_TOKEN", given)
            ended = await asyncio.to_thread(run, "tail", url)
            assert (ended.exit_code, said in ended.stderr) == (1, True), "the admin token of this machine is not sent"
        monkeypatch.setenv("RELAY_TOKEN", token)
        shown = await asyncio.to_thread(on_terminal, "tail", url, until="until Ctrl-C")
        assert "following the relay at http://127.0.0.1" in shown
    finally:
        await relay.kill()


# ---- at 80 columns

AT = {"at": "2026-11-22T12:00:00.000Z"}
EVENT = {"event": "019ab000-0001-7000-8000-000000000001", "type": "leads.status", "entity_id": "4831596"}
ATTEMPT = AT | EVENT | {"what": "attempt", "attempt": 1, "replay": False, "reason": "2xx", "took": 0.012, "detail": ""}
SHOWN = [
    (
        AT | EVENT | {"what": "event", "routes": ["offer-made"]},
        ["12:00:00  event      019ab000-0001-7000  leads.status 4831596  routes offer-made"],
    ),
    (
        ATTEMPT | {"target": "bot", "status": 200, "verdict": "delivered"},
        ["12:00:00  delivered  019ab000-0001-7000  leads.status 4831596 → bot", "          200 in 12 ms"],
    ),
    (
        ATTEMPT
        | {"target": "warehouse", "status": 503, "verdict": "retry", "due_at": "2026-11-22T12:00:04.500Z"}
        | {"attempt": 3, "detail": f"{ESCAPE}come back later, this is a very long story that does not fit"},
        [
            "12:00:00  retry      019ab000-0001-7000  leads.status 4831596 → warehouse",
            r"          attempt 3, 503 in 12 ms, again in 4.5 s: \u001b[31mcome back later, t…",
        ],
    ),
    (
        AT
        | {"what": "refused", "outcome": "misaddressed", "remote": "192.0.2.7"}
        | {"address": "POST /crm/***", "detail": "/hooks is missing"},
        [
            "12:00:00  refused                        misaddressed from 192.0.2.7",
            "          POST /crm/***: /hooks is missing",
        ],
    ),
    (
        AT | {"what": "probe", "source": "crm", "remote": "192.0.2.7"},
        [
            "12:00:00  probe                          source crm",
            "          an empty body from 192.0.2.7, not stored",
        ],
    ),
    (
        AT
        | {"what": "refused", "outcome": "unauthorized", "remote": "192.0.2.7"}
        | {"detail": "no such source, or a wrong token"},
        [
            "12:00:00  refused                        unauthorized from 192.0.2.7",
            "          no such source, or a wrong token",
        ],
    ),
    (
        AT | {"what": "missed", "number": 7},
        ["12:00:00  missed                         7 more, which came too fast to be shown"],
    ),
]


@pytest.mark.parametrize(("document", "lines"), SHOWN, ids=[each["what"] for each, _ in SHOWN])
def test_a_line_fits_80_columns(
    document: dict[str, object], lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("relay.cli.tail.width", lambda: 80)
    monkeypatch.setattr("relay.cli.tail.is_wide", lambda: False)
    _show(str(document.get("verdict", document["what"])), document)
    shown = capsys.readouterr().out.splitlines()
    assert plain("\r\n".join([*shown, ""])) == lines
    assert max(map(len, shown)) <= 80
