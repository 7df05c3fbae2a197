"""docs/guides/proxy.md: nginx itself, with the configuration shown, in front of a relay; Caddy's file as a text."""

import json
import re
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from relay.cli.run import run as run_command
from relay.http.machine_limits import Limits
from tests.docs.conftest import done
from tests.docs.pages import blocks, commands, read
from tests.docs.sandbox import Sandbox
from tests.e2e.nginx import Nginx, by_tls
from tests.e2e.processes import TOKEN, free_port, running

pytestmark = pytest.mark.timeout(240)  # many commands, each a process

PAGE = "docs/guides/proxy.md"
[NGINX] = blocks(read(PAGE), "nginx")
[CADDY] = blocks(read(PAGE), "caddyfile")
HOST = "hooks.example.com"
ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""
DEFAULTS = {each.name: each.default for each in run_command.params}


def nginx(folder: Path, relay: int = 8080) -> Nginx:
    """By the configuration of the guide, in front of a relay on that port."""
    text = NGINX.replace(str(DEFAULTS["listen"]), f"127.0.0.1:{relay}")
    return by_tls(folder, text, free_port(), host=HOST)


def test_nginx_understands_the_configuration(tmp_path: Path) -> None:
    assert nginx(tmp_path).complaints() == ""


async def test_a_webhook_comes_through_nginx_and_the_relay_knows_who_sent_it(tmp_path: Path) -> None:
    async with running(tmp_path, ROUTES, RELAY_TRUSTED_PROXY="127.0.0.1") as relay:
        proxy = nginx(tmp_path, relay.port)
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.5", 0))
        async with proxy.running(), aiohttp.ClientSession(connector=elsewhere) as session:

            async def post(address: str, body: bytes = b"leads[add][0][id]=7") -> tuple[int, str]:
                url = f"https://127.0.0.1:{proxy.port}{address}"
                async with session.post(url, data=BytesIO(body), ssl=proxy.trusted, server_hostname=HOST) as answer:
                    return answer.status, await answer.text()

            status, text = await post(f"/hooks/crm/{TOKEN}?try=1")
            assert (status, json.loads(text)["deliveries"]) == (200, 1)
            assert (await post(f"/hooks/crm/{TOKEN}", b"x" * 2**20 * 5))[0] == 413
            assert (await post("/metrics"))[0] == 404
            assert (await post("/hooks/crm/wrong"))[0] == 404
        assert "try=1" in str(await relay.command("show", json.loads(text)["webhook"]))
        assert '"127.0.0.5"' in relay.log.read_text(), "who sent the wrong token, not the proxy"


def test_the_size_that_the_proxies_let_through_is_the_relays_own() -> None:
    mebibytes = DEFAULTS["max_body"] // 2**20
    assert f"client_max_body_size {mebibytes}m;" in NGINX
    assert f"max_size {mebibytes}MiB" in CADDY
    assert Limits.within(4096, max_body=DEFAULTS["max_body"])


def test_caddys_file_is_whole_and_passes_hooks_alone_to_the_relay() -> None:
    depth = 0
    for line in CADDY.splitlines():
        depth += line.count("{") - line.count("}")
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"handle (\S+) \{", CADDY) == ["/hooks/*"]
    assert re.findall(r"reverse_proxy (\S+) \{", CADDY) == [str(DEFAULTS["listen"])]
    assert re.findall(r"handle \{\s+respond (\d+)", CADDY) == ["404"]


@pytest.mark.skipif(not shutil.which("caddy"), reason="caddy is not here; the test above reads its file")
def test_caddy_understands_its_file(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(CADDY)
    adapted = subprocess.run(["caddy", "adapt", "--config", tmp_path / "Caddyfile"], capture_output=True, text=True)
    assert adapted.returncode == 0, adapted.stderr


def test_the_commands_do_what_they_are_shown_for(
    folder: Path, environment: dict[str, str], daemon: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = commands(read(PAGE))
    of_a_machine = [each for each in shown if each.startswith(("nginx", "systemctl"))]
    Sandbox(tmp_path_factory.mktemp("machine")).run(of_a_machine)
    endless = "relay tail --failed"
    for command in set(shown) - {*of_a_machine, endless}:
        done(folder, environment, command)
    assert endless in shown and endless in commands(read("docs/operate.md")), "run by test_commands.py"
