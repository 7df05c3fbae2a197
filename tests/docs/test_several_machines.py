"""docs/several-machines.md: its balancers before relays that fail, its files, its commands."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from time import monotonic, sleep

import aiohttp
import pytest

from relay.cli import installed
from relay.store.postgres.beats import DEAD
from relay.store.postgres.durability import OLDEST
from relay.store.postgres.session import CONNECT_TIMEOUT
from relay.store.spool.intake import HEDGE
from relay.store.spool.tail import KEPT, MOST_BYTES, MOST_WEBHOOKS
from tests.docs.pages import ROOT, blocks, commands, read, section
from tests.docs.sandbox import Sandbox
from tests.e2e.balancers import haproxy
from tests.e2e.nginx import in_plain_text
from tests.e2e.processes import TOKEN, RelayProcess, free_port, running, until
from tests.postgres import Cluster, cluster
from tests.tools import tool

PAGE = "docs/several-machines.md"
TEXT = read(PAGE)
ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""

SYSTEMD = commands(section(TEXT, "## Relays on two machines, with systemd"))
ADMIN_TOKEN = "an-admin-token-of-these-tests"

Balancer = Callable[[Path, list[RelayProcess]], AbstractAsyncContextManager[int]]


# ---- what it says of the program


def test_times_and_sizes_are_those_of_the_code() -> None:
    said = re.sub(r"\s+", " ", TEXT)
    assert f"not happened within {HEDGE:g} s" in said
    assert f"stands still for {DEAD:g} s" in said and f"{DEAD:g} s later it is declared dead" in said
    assert KEPT == 120 and "webhooks of the last two minutes" in said and "dies within two minutes" in said
    assert f"at most {MOST_WEBHOOKS:,}, or {MOST_BYTES // 2**20} MiB" in said
    assert f"Version {OLDEST // 10_000} or newer" in said
    assert CONNECT_TIMEOUT == 2 and "tried for two seconds" in said


# ---- the balancers


@asynccontextmanager
async def nginx_of_the_page(folder: Path, relays: list[RelayProcess]) -> AsyncIterator[int]:
    [text] = blocks(TEXT, "nginx")
    for number, relay in enumerate(relays, 11):
        assert f"10.0.0.{number}:8080" in text
        text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{relay.port}")
    proxy = in_plain_text(folder, text, free_port())
    async with proxy.running():
        yield proxy.port


class Sender:
    """Posts one webhook after another, each once, as amoCRM does."""

    def __init__(self, port: int) -> None:
        self.answers = Counter[int]()
        self._address = f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"

    async def send_for_ever(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                body = f"leads[add][0][id]={self.answers.total()}".encode()
                try:
                    async with session.post(self._address, data=body) as answer:
                        self.answers[answer.status] += 1
                except aiohttp.ClientError:
                    self.answers[0] += 1
                await asyncio.sleep(0.02)

    async def more(self, webhooks: int = 25) -> None:
        """Wait for so many more answers."""
        wanted = self.answers.total() + webhooks
        await until(lambda: self.answers.total() >= wanted)


async def takes(relay: RelayProcess) -> bool:
    """Whether it took webhooks since its start."""
    return await relay.metric("relay_webhooks_total", outcome="accepted") > 0


@pytest.mark.parametrize("balancer", [haproxy, nginx_of_the_page])
async def test_a_relay_that_is_killed_frozen_or_restarted_fails_no_webhook(balancer: Balancer, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    async with running(folders[0], ROUTES) as a, running(folders[1], ROUTES) as b, balancer(tmp_path, [a, b]) as port:
        sender = Sender(port)
        sending = asyncio.create_task(sender.send_for_ever())
        try:
            await sender.more()
            assert not await takes(b), "one takes, the next one at its failure"
            await a.kill()
            await sender.more()
            assert await takes(b)
            await a.start()
            await until(lambda: takes(a))
            a.signal(SIGSTOP)
            await sender.more()
            a.signal(SIGCONT)
            await sender.more()
            a.signal(SIGTERM)
            assert await a.ended() == 0
            await sender.more()
            await a.start()
            await until(lambda: takes(a))
            await b.kill()
            await sender.more()
        finally:
            sending.cancel()
        assert set(sender.answers) == {200}


async def test_haproxy_says_whether_a_relay_is_up(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session, running(tmp_path, ROUTES) as relay:

        async def is_healthy() -> bool:
            async with session.head(f"http://127.0.0.1:{health}/healthz") as answer:
                return answer.status == 200

        async def is_not() -> bool:
            return not await is_healthy()

        async with haproxy(tmp_path, [relay], health=(health := free_port())):
            await until(is_healthy)
            await relay.kill()
            await until(is_not)


def test_haproxy_understands_the_way_to_prefer_relays_that_reach_postgresql(tmp_path: Path) -> None:
    [shown] = blocks(TEXT, "haproxy")
    first, _, rest = shown.partition("    default_backend relays\n")
    sample = (ROOT / "config/haproxy.cfg").read_text()
    for line in rest.splitlines():
        assert line.replace("/readyz/store", "/readyz").replace("backend direct", "backend relays") in sample
    path = tmp_path / "haproxy.cfg"
    path.write_text(sample.replace("    default_backend relays\n", f"{first}    default_backend relays\n") + rest)
    checked = subprocess.run(
        [tool("haproxy", "haproxy"), "-c", "-f", path],
        env={"RELAY_A": "127.0.0.1:1", "RELAY_B": "127.0.0.1:2"},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr
    assert "use_backend direct" in path.read_text()


# ---- PostgreSQL


def test_a_database_is_made_as_the_page_says() -> None:
    shown = commands(section(TEXT, "## PostgreSQL"))
    assert [each.split()[0] for each in shown] == ["createuser", "createdb"]
    with cluster() as server:
        with server.admin() as connection:
            connection.execute("drop role relay")
        server.password, ours = "the password", server.password
        for command in shown:
            made = subprocess.run(
                ["setsid", tool(command.split()[0], "postgresql-client"), *command.split()[1:]],
                env={
                    **os.environ,
                    "PGHOST": "127.0.0.1",
                    "PGPORT": f"{server.port}",
                    "PGUSER": "postgres",
                    "PGPASSWORD": ours,
                },
                input="the password\n" * 2,
                capture_output=True,
                text=True,
            )
            assert made.returncode == 0, made.stderr
        made = subprocess.run(
            [tool("psql", "postgresql-client"), server.dsn("relay").replace("the password", "the%20password")],
            input="create table of_its_own ()",
            capture_output=True,
            text=True,
        )
        assert made.stdout == "CREATE TABLE\n", made.stderr
        server.password = ours


# ---- the machines


@pytest.fixture
def machine(tmp_path: Path) -> Sandbox:
    """As docs/guides/systemd.md leaves it before *Start*, with the units of the page."""
    sandbox = Sandbox(tmp_path / "machine")
    sandbox.install()
    (sandbox.root / "etc/relay/secrets").mkdir(parents=True)
    sandbox.run(SYSTEMD[:6])
    return sandbox


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_understands_the_units_with_the_drop_ins_of_the_page(machine: Sandbox) -> None:
    units = machine.root / "etc/systemd/system"
    verified = subprocess.run(
        ["systemd-analyze", "verify", "relay.service"],
        env={**machine.environment, "SYSTEMD_UNIT_PATH": f"{units}:"},
        cwd=units,
        capture_output=True,
        text=True,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_drop_ins_say_what_the_page_says_and_lie_where_systemd_looks(machine: Sandbox) -> None:
    units = machine.root / "etc/systemd/system"
    text = (units / "relay.service.d/several-machines.conf").read_text()
    found: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed, "UNIT", units / "relay.service")
        patch.setattr(installed, "CONFIG", units / "relay.service")
        assert installed.adopt(found, here=machine.root)
    assert found["RELAY_STORE"].endswith("/etc/relay/secrets/postgres_password}@db1.example,db2.example/relay")
    assert found["PGSSLMODE"] == "verify-full"
    assert "RELAY_LISTEN=10.0.0.11:8080\n" in text
    assert not (units / "relay.socket").exists() and "relay.socket" not in (units / "relay.service").read_text()
    assert "RELAY_ADMIN=10.0.0.11:8081" in text and "check port 8081 " in (ROOT / "config/haproxy.cfg").read_text()


# ---- relays on machines


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster(durable=True) as server:
        yield server


def post(machine: Sandbox, lead: int) -> None:
    """Send a webhook; it must be answered 200."""
    connection = HTTPConnection(machine.environment["RELAY_LISTEN"], timeout=10)
    connection.request("POST", f"/hooks/crm/{TOKEN}", f"leads[add][0][id]={lead}".encode())
    assert connection.getresponse().status == 200
    connection.close()


class Machine(Sandbox):
    """One that the page's commands made; its database is the test's, without TLS."""

    def __init__(self, root: Path, server: Cluster, database: str) -> None:
        super().__init__(root)
        self._database = server.dsn(database).rpartition("@")[2]
        self.install()
        etc = self.root / "etc/relay"
        (etc / "secrets").mkdir(parents=True)
        (etc / "secrets/crm_token").write_text(TOKEN)
        (etc / "routes.yaml").write_text(self.here(ROUTES.replace("${TOKEN}", "${file:/etc/relay/secrets/crm_token}")))
        *installed, self.reload, self.start, self.path, self.status = SYSTEMD
        self.run(installed)
        (etc / "secrets/postgres_password").write_text(server.password)
        (etc / "relay.env").write_text(f"RELAY_ADMIN_TOKEN={ADMIN_TOKEN}\n")
        drop_in = self.root / "etc/systemd/system/relay.service.d/several-machines.conf"
        drop_in.write_text(self._edited(drop_in.read_text()))

    def _edited(self, text: str) -> str:
        """As its operator edits it: the database, and the addresses of this machine."""
        text = text.replace("db1.example,db2.example/relay", self._database)
        text = re.sub(r"PGSSLMODE=verify-full PGSSLROOTCERT=\S+", "PGSSLMODE=disable", text)
        text = text.replace("10.0.0.11:8080", self.environment["RELAY_LISTEN"])
        return text.replace("10.0.0.11:8081", self.environment["RELAY_ADMIN"])

    def ask(self, *asked: str) -> str:
        """What a command prints, given what the page has before it."""
        return self.run([self.path, *map(self._edited, asked)])

    def relays(self) -> set[str]:
        """The names of those that `relay status` knows."""
        return {each["name"] for each in json.loads(self.ask("relay status --json"))["relays"]}

    def has(self, *leads: int) -> None:
        """Wait until the database has these, and nothing else."""
        deadline = monotonic() + 30
        while (found := self._leads()) != sorted(leads):
            assert monotonic() < deadline, found
            sleep(0.5)

    def _leads(self) -> list[int]:
        return sorted(int(each) for each in re.findall(r"leads\.add (\d+)", self.ask("relay list")))


@pytest.fixture
def machines(tmp_path: Path, server: Cluster) -> Iterator[Callable[[str], Machine]]:
    made: list[Machine] = []
    database = server.new_database()

    def make(name: str) -> Machine:
        made.append(Machine(tmp_path / name, server, database))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_relays_on_two_machines_are_upgraded_one_after_the_other(machines: Callable[[str], Machine]) -> None:
    a, b = machines("a"), machines("b")
    for number, machine in enumerate((a, b)):
        machine.run([machine.reload, machine.start])
        post(machine, number)
    a.has(0, 1)
    assert len(known := a.relays()) == 2
    for machine in (a, b):
        machine.ask(*commands(section(TEXT, "## Upgrade, one relay after another")))
    assert a.relays() == known
    post(b, 2)
    a.has(0, 1, 2)


def test_a_spool_is_drained_on_another_machine(machines: Callable[[str], Machine], server: Cluster) -> None:
    a, c = machines("a"), machines("c")
    a.run([a.reload, a.start])
    server.stop()
    post(a, 7)
    a.stop()
    server.start()
    for file in (a.root / "var/lib/relay").glob("relay-spool.db*"):
        shutil.copy(file, c.checkout)
    [drain] = commands(section(TEXT, "## A relay that dies"))
    assert "1 webhook forwarded" in c.ask(drain)
    c.has(7)
    assert "0 webhooks forwarded" in c.ask(drain)


def test_a_sqlite_store_moves(machines: Callable[[str], Machine], tmp_path: Path) -> None:
    a, old = machines("a"), Sandbox(tmp_path / "old")
    old.install()
    shutil.copytree(a.root / "etc/relay", old.root / "etc/relay", dirs_exist_ok=True)
    old.run(["systemctl start relay.service"])
    post(old, 1)
    old.stop()
    shutil.copytree(old.root / "var/lib/relay", a.root / "var/lib/relay")
    [move] = commands(section(TEXT, "## From SQLite to PostgreSQL"))
    assert ": 1 webhook, 1 event, " in a.ask(move)
    a.has(1)
    a.run([a.reload, a.start])
    post(a, 2)
    a.has(1, 2)


# ---- containers


@pytest.mark.parametrize("heading", ["## Docker Compose", "## Kubernetes"])
def test_the_commands_for_containers_are_dockers_and_kubectls(heading: str, tmp_path: Path) -> None:
    Sandbox(tmp_path).run(commands(section(TEXT, heading)))
