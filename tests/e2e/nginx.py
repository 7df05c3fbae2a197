"""A `server` of the documents -> nginx.conf with files of its own alone, on loopback, and nginx that serves by it."""

import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.e2e.balancers import serving
from tests.tools import tool

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """One that is set up, in a folder of its own, to listen on `port`; `trusted` is for a client of one by TLS."""

    configuration: Path
    port: int
    trusted: ssl.SSLContext | None = None

    @property
    def _command(self) -> tuple[str, ...]:
        folder = self.configuration.parent
        return tool("nginx", "nginx-light"), "-p", str(folder), "-c", str(self.configuration)

    def complaints(self) -> str:
        """What it says of its configuration; nothing if that is good, and warns of nothing."""
        checked = subprocess.run([*self._command, "-t"], capture_output=True, text=True)
        return checked.stderr if checked.returncode or "warn" in checked.stderr else ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From when it listens."""
        async with serving(self.configuration.with_name("nginx.log"), self._command, self.port):
            yield


def in_plain_text(folder: Path, text: str, port: int) -> Nginx:
    """By an `upstream` and a `server` that speaks TLS in the documents."""
    text = re.sub(r"^ +(listen|ssl_certificate(_key)?) .*\n", "", text, flags=re.MULTILINE)
    return Nginx(configuration=_written(folder, _listening(text, str(port))), port=port)


def by_tls(folder: Path, text: str, port: int, *, host: str) -> Nginx:
    """By a `server` of this name, which the documents give a certificate under /etc/nginx/tls."""
    authority, trusted = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusted)
    certificate = authority.issue_cert(host)
    certificate.private_key_pem.write_to_path(folder / f"{host}.key")
    (folder / f"{host}.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    text, listens = re.subn(r"^ +listen .*443 ssl;\n", "", text, flags=re.MULTILINE)
    assert listens
    text = _listening(text.replace("/etc/nginx/tls", str(folder)), f"{port} ssl")
    return Nginx(configuration=_written(folder, text), port=port, trusted=trusted)


def _listening(text: str, on: str) -> str:
    return text.replace("server {", f"server {{\n    listen 127.0.0.1:{on};", 1)


def _written(folder: Path, text: str) -> Path:
    temporary = "".join(f"  {each}_temp_path {folder}/{each};\n" for each in _TEMPORARY)
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return path
