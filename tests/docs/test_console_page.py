"""docs/console.md: nginx itself, with the block shown, before a relay's console: log-in, forms and streams."""

import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.docs.pages import blocks, read
from tests.e2e.balancers import serving
from tests.e2e.processes import TOKEN, RelayProcess, free_port, running, until
from tests.tools import tool

PAGE = "docs/console.md"
[NGINX] = blocks(read(PAGE), "nginx")
HOST = "relay.example.com"
OPERATOR = "an-operator-0123456789"
ROUTES = """\
version: 1
sources: {crm: {token: "%s"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {entity: leads}, to: bot}]
"""


def configuration(folder: Path, authority: trustme.CA, port: int, relay: int) -> Path:
    """nginx.conf with the server of the page, on loopback and with files of its own alone."""
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(folder / f"{HOST}.key")
    (folder / f"{HOST}.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    server, listens = re.subn(r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;", NGINX)
    assert listens == 1
    server = server.replace("/etc/nginx/tls", str(folder)).replace("127.0.0.1:8081", f"127.0.0.1:{relay}")
    temporary = "".join(
        f"  {each}_temp_path {folder}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    return path


def test_nginx_understands_the_block(tmp_path: Path) -> None:
    path = configuration(tmp_path, trustme.CA(), 443, 8081)
    checked = subprocess.run(
        [tool("nginx", "nginx-light"), "-t", "-p", tmp_path, "-c", path], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


class Browser:
    """What comes to the console by its name, from another address than the proxy's own."""

    def __init__(self, session: aiohttp.ClientSession, port: int, trusted: ssl.SSLContext) -> None:
        self.origin = f"https://{HOST}:{port}"
        self._session = session
        self._to = f"https://127.0.0.1:{port}"
        self._settings = {"ssl": trusted, "server_hostname": HOST, "allow_redirects": False}
        self.cookies: dict[str, str] = {}

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, *, origin: str = "", **form: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request with the cookies there are, and keep those of the answer."""
        headers = {"Host": self.origin.removeprefix("https://"), **({"Origin": origin} if origin else {})}
        headers |= {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent = self._session.request(method, self._to + path, data=form or None, headers=headers, **self._settings)
        async with sent as answer:
            self.cookies |= {name: each.value for name, each in answer.cookies.items()}
            yield answer


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[tuple[RelayProcess, Browser]]:
    """A relay with the flags of the page, nginx before it, and a browser before that."""
    authority, port = trustme.CA(), free_port()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    flags = {"RELAY_ADMIN_TOKEN": OPERATOR, "RELAY_ADMIN_URL": f"https://{HOST}", "RELAY_TRUSTED_PROXY": "127.0.0.1"}
    async with running(folder, ROUTES % TOKEN, **flags) as relay:
        path = configuration(folder, authority, port, relay.admin_port)
        command = (tool("nginx", "nginx-light"), "-p", str(folder), "-c", str(path))
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.5", 0))
        async with (
            serving(folder / "nginx.log", command, port),
            aiohttp.ClientSession(connector=elsewhere, cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            yield relay, Browser(session, port, trusted)


@pytest.mark.timeout(240)
async def test_forms_and_streams_come_through_nginx_and_those_of_other_sites_do_not(tmp_path: Path) -> None:
    async with console(tmp_path) as (relay, browser):
        async with browser.ask("POST", "/login", origin="https://evil.example", token=OPERATOR) as answer:
            assert answer.status == 403
        async with browser.ask("POST", "/login", origin=browser.origin, token=OPERATOR) as answer:
            assert answer.status == 303
            [(name, cookie)] = answer.cookies.items()
            assert name.startswith("__Host-relay-")
            assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax"
        async with browser.ask("POST", "/targets/bot/pause", origin=browser.origin, reason="try") as answer:
            assert answer.status == 303, await answer.text()
        async with browser.ask("GET", "/") as answer:
            assert answer.status == 200
            assert "bot" in await answer.text()
        async with browser.ask("GET", "/live/stream") as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            await sent(relay)
            assert await shown(stream, "leads")
        for _ in range(6):
            async with browser.ask("POST", "/login", origin=browser.origin, token="wrong") as answer:
                last = answer.status
        assert last == 429
        await until(lambda: '"127.0.0.5"' in relay.log.read_text())  # the browser is locked out, not the proxy


async def sent(relay: RelayProcess) -> None:
    """Post a webhook as amoCRM does."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(relay.hook, data={"leads[add][0][id]": "7"}) as answer,
    ):
        assert answer.status == 200


async def shown(stream: aiohttp.ClientResponse, text: str) -> bool:
    """Whether the open stream says so; it never ends by itself."""
    read = ""
    async for chunk in stream.content.iter_any():
        read += chunk.decode()
        if text in read:
            return True
    return False
