"""`relay forward`: a running relay's events at a developer's machine, while its targets get theirs."""

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from relay.model.names_json import to_json
from relay.routes.names_files import cache_file
from tests.account.example_catalog import CATALOG
from tests.cli.conftest import Run
from tests.e2e.processes import RELAY, RelayProcess, free_port, running, until, variables
from tests.e2e.sender import post, post_lead
from tests.e2e.targets import Targets, always, listening, well

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
  bot: {{url: "{bot}", secret: "${{file:{secret}}}"}}
  legacy: {{url: "{bot}", format: form}}
  named: {{url: "{bot}", headers: {{X-Name: "{{{{ data.name }}}}"}}}}
routes:
  - {{name: named, match: {{name: {{like: "named*"}}}}, to: named}}
  - {{name: leads, match: {{entity: leads}}, to: bot}}
  - {{name: moved, match: {{entity: leads, status_id: 7}}, to: legacy}}
"""


class Forwarder:
    """A `relay forward` that runs."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def send(self, what: signal.Signals) -> None:
        self._process.send_signal(what)

    async def line(self) -> str:
        """The next one, without its time."""
        assert self._process.stdout
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode()[10:].rstrip()

    async def noted(self) -> str:
        assert self._process.stderr
        async with asyncio.timeout(20):
            return (await self._process.stderr.readline()).decode()

    async def ended(self) -> str:
        """What it says in the end, after Ctrl-C."""
        assert self._process.stderr
        self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await self._process.wait() == 130
            return (await self._process.stderr.read()).decode()


@asynccontextmanager
async def forwarding(relay: RelayProcess, url: str, *arguments: str) -> AsyncIterator[Forwarder]:
    command = [*RELAY, "forward", url, f"--admin=127.0.0.1:{relay.admin_port}", f"--config={relay.routes}", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=variables(TZ="UTC"))
    try:
        forwarder = Forwarder(process)
        assert "following the relay" in await forwarder.noted()
        yield forwarder
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[tuple[RelayProcess, Targets]]:
    (folder / "secret").write_text("Y2FuYXJ5LXNlY3JldA==")
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(bot=well, dev=well))
        routes = ROUTES.format(bot=targets.url("bot"), secret=folder / "secret")
        yield await stack.enter_async_context(running(folder, routes)), targets


async def test_an_event_is_posted_to_the_developer_too_with_the_answer_in_a_line(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets), forwarding(relay, targets.url("dev")) as forwarder:
        await post_lead(relay.hook, "m1")
        line = await forwarder.line()
        assert re.fullmatch(r"200         [0-9a-f-]{36}  leads.status 1  \d+ ms", line), line
        await until(lambda: bool(targets.of("bot")))
        [forwarded], [delivered] = targets.of("dev"), targets.of("bot")
        assert forwarded.body == delivered.body
        assert forwarded.event_id == delivered.event_id == line.split()[1]
        assert forwarded.headers["relay-forwarded"] == "true"
        assert "relay-forwarded" not in delivered.headers
        assert "webhook-signature" in delivered.headers
        assert "webhook-signature" not in forwarded.headers
        assert await forwarder.ended() == "1 event forwarded\n"


async def test_a_developer_who_fails_changes_nothing_in_the_store(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets), forwarding(relay, targets.url("dev")) as forwarder:
        targets.behaviour["dev"] = always(500)
        await post_lead(relay.hook, "m1")
        assert (await forwarder.line()).startswith("500 ")
        await relay.drained()
        listed = await relay.command("list")
        assert [(each["target"], each["state"], each["attempt"]) for each in listed["data"]] == [
            ("bot", "delivered", 1)
        ]
        assert len(targets.of("dev")) == 1
        assert await forwarder.ended() == "0 events forwarded, 1 failed\n"


async def test_where_nobody_listens_the_line_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, _), forwarding(relay, f"http://127.0.0.1:{free_port()}/") as forwarder:
        await post_lead(relay.hook, "m1")
        line = await forwarder.line()
        assert line.startswith("connect ") and "leads.status 1" in line and "onnect" in line.partition("ms: ")[2]


async def test_only_events_that_match_or_are_routed_to_a_target_are_forwarded(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets):
        dev = targets.url("dev")
        async with forwarding(relay, dev, "--match", "{name: {like: 'm*'}}") as forwarder:
            for name in ("other", "m1"):
                await post_lead(relay.hook, name)
            await forwarder.line()
            assert [orjson.loads(each.body)["data"]["name"] for each in targets.of("dev")] == ["m1"]
        targets.received.clear()
        async with forwarding(relay, dev, "--target=legacy") as forwarder:
            for status_id in (6, 7):
                await post_lead(relay.hook, f"s{status_id}", status_id=status_id)
            await forwarder.line()
            await relay.drained()
            [forwarded] = targets.of("dev")
            [delivered] = [each for each in targets.of("bot") if each.headers["content-type"] != "application/json"]
            assert b"status_id%5D=7" in forwarded.body or b"[status_id]=7" in forwarded.body
            assert forwarded.body == delivered.body


async def test_an_event_that_cannot_be_rendered_is_a_line_and_ends_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets):
        async with forwarding(relay, targets.url("dev"), "--target=named") as forwarder:
            for name in ("named" * 2_000, "named-well"):
                await post_lead(relay.hook, name)
            lines = sorted([await forwarder.line() for _ in range(2)])
        assert [line.split()[0] for line in lines] == ["200", "template"]
        assert "headers.x-name: the output is over" in lines[1]
        assert [each.headers["x-name"] for each in targets.of("dev")] == ["named-well"]


async def test_who_does_not_keep_up_slows_nothing_down_and_misses_what_was_too_much(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets), forwarding(relay, targets.url("dev")) as forwarder:
        forwarder.send(signal.SIGSTOP)
        padding = "x" * 400_000
        for number in range(100):  # 40 MB, of which sockets and the stream hold a part
            kept = await post(relay.hook, f"leads[add][0][id]={number}&leads[add][0][name]={padding}".encode())
            assert kept["deliveries"] == 1
        await relay.drained()
        assert len(targets.of("bot")) == 100
        forwarder.send(signal.SIGCONT)
        forwarded = missed = 0
        while forwarded + missed < 100:
            status, number, *_ = (await forwarder.line()).split()
            forwarded, missed = (forwarded, missed + int(number)) if status == "missed" else (forwarded + 1, missed)
        assert min(forwarded, missed) > 0
        assert await forwarder.ended() == f"{forwarded} events forwarded, {missed} missed\n"
        assert len(targets.of("dev")) == forwarded


async def test_a_relay_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets), forwarding(relay, targets.url("dev")) as forwarder:
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        assert "has gone; waiting for it" in await forwarder.noted()
        await relay.start()
        assert "following" in await forwarder.noted()
        await post_lead(relay.hook, "m1")
        assert (await forwarder.line()).startswith("200 ")


async def test_an_event_of_a_megabyte_is_forwarded_too(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets), forwarding(relay, targets.url("dev")) as forwarder:
        await post(relay.hook, b"leads[add][0][id]=7&leads[add][0][name]=" + b"x" * 1_000_000)
        assert (await forwarder.line()).startswith("200 ")
        assert len(targets.of("dev")[0].body) > 1_000_000


async def test_a_target_that_only_the_daemon_lacks_is_one_line(tmp_path: Path, run: Run) -> None:
    async with scene(tmp_path) as (relay, _):
        newer = tmp_path / "newer.yaml"
        newer.write_text(relay.routes.read_text().replace("legacy", "legacies"))
        admin = f"--admin=127.0.0.1:{relay.admin_port}"
        ended = await asyncio.to_thread(
            run, "forward", "http://127.0.0.1:9/", "--target=legacies", admin, f"--config={newer}"
        )
        assert (ended.exit_code, ended.stderr) == (
            1,
            f"relay: the relay at {relay.admin[7:]} has no target 'legacies' in its routes (did you mean 'legacy'?)\n",
        )


# ---- misuse: one line each


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://127.0.0.1/"], "not an address like http://127.0.0.1:3000/hook"),
        (["127.0.0.1:3000"], "not an address like http://127.0.0.1:3000/hook"),
        (["http://:3000/"], "not an address like"),
        (["http://ann:pw@127.0.0.1:3000/"], "a user or password in the URL would not be sent"),
        (["http://127.0.0.1:3000/", "--match", "{price: {above: 5}}"], "above"),
        (["http://127.0.0.1:3000/", "--match", "leads"], "write it as in a route"),
    ],
)
def test_misuse_is_said_in_a_line(arguments: list[str], said: str, run: Run) -> None:
    ended = run("forward", *arguments)
    assert ended.exit_code == 2
    assert said in ended.stderr.splitlines()[-1], ended.stderr


def test_a_name_in_a_match_is_looked_up_as_in_the_routes_file(run: Run, folder: Path) -> None:
    text = (folder / "routes.yaml").read_text()
    account = 'accounts: {main: {host: "127.0.0.1:9", token: canary.api.token}}\nsources:'
    (folder / "routes.yaml").write_text(
        text.replace("sources:", account).replace("_TOKEN}\n", "_TOKEN}\n    account: main\n", 1)
    )
    cache_file(folder, "main").write_text(json.dumps(to_json(replace(CATALOG, host="127.0.0.1:9"))), "utf-8")
    arguments = ("forward", "http://127.0.0.1:3000/", "--admin", f"127.0.0.1:{free_port()}", "--match")
    known, unknown = run(*arguments, "{stage: Продажи/Оффер}"), run(*arguments, "{stage: Продажи/Офер}")
    assert (known.exit_code, unknown.exit_code) == (1, 2), known.stderr
    assert "no relay answers" in known.stderr
    assert "Invalid value for --match: stage: amoCRM has no stage 'Продажи/Офер'" in unknown.stderr


def test_without_a_relay_or_a_target_it_ends_with_a_line(run: Run) -> None:
    admin = f"127.0.0.1:{free_port()}"
    ended = run("forward", "http://127.0.0.1:3000/", "--admin", admin)
    assert (ended.exit_code, ended.stderr) == (
        1,
        f"relay: no relay answers at {admin} (Connection refused): is it running? name its --admin address\n",
    )
    ended = run("forward", "http://127.0.0.1:3000/", "--target", "warehous")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: routes.yaml has no target 'warehous' (did you mean 'warehouse'?)\n",
    )
