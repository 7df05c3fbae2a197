"""A guide's commands -> run, with the paths of a machine in a folder, and with what needs root or an engine replaced.

`systemctl` starts and stops a real relay, by the unit that the guide installed; `pip install` checks what it is given
and installs a `relay` that is this one; `docker` and `kubectl` accept the commands and flags that they have.
"""

import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.docs.pages import ROOT
from tests.e2e.processes import free_port

PATHS = ("/opt/relay", "/etc/relay", "/etc/systemd/system", "/var/lib/relay", "/var/backups", "/etc/nginx")
STUBS = Path(__file__).parent / "stubs"
GROUP = "relay-secrets"


class Sandbox:
    """One machine in a folder. What a guide says of `/etc/relay` happens in `root`/etc/relay."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkout = root / "checkout"
        for path in ("opt", "etc", "var/lib", "var/backups", "etc/systemd/system"):
            (root / path).mkdir(parents=True, exist_ok=True)
        for checkout in (self.checkout, root / "amocrm-relay-old"):
            shutil.copytree(ROOT / "config", checkout / "config")
            shutil.copy(ROOT / "pyproject.toml", checkout)
            for file in (checkout / "config").rglob("*"):
                if file.is_file():
                    file.write_text(self.here(file.read_text("utf-8")), "utf-8")
        self.environment = {
            **os.environ,
            "PATH": f"{STUBS}:{os.environ['PATH']}",
            "SANDBOX": str(root),
            "SANDBOX_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "RELAY_LISTEN": f"127.0.0.1:{free_port()}",
            "RELAY_ADMIN": f"127.0.0.1:{free_port()}",
        }

    def here(self, text: str) -> str:
        """The text with the machine's paths in the folder, and a group that there is."""
        text = text.replace("/opt/relay/bin/pip", str(STUBS / "pip"))
        text = text.replace("--directory /", f"--directory {self.root}/")
        for path in PATHS:
            text = text.replace(path, f"{self.root}{path}")
        for flag in ("-g", "chgrp -R"):
            text = text.replace(f"{flag} {GROUP}", f"{flag} {_own_group()}")
        return text

    def run(self, commands: Sequence[str]) -> str:
        """What they print, one shell for all; each must end well."""
        script = "\n".join(self.here(command) for command in commands)
        ended = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert ended.returncode == 0, (script, ended.stdout, ended.stderr)
        return ended.stdout

    def install(self) -> None:
        """As docs/guides/systemd.md leaves a machine, with a target that takes nothing."""
        bin_ = self.root / "opt/relay/bin"
        bin_.mkdir(parents=True)
        self.run(["/opt/relay/bin/pip install ."])
        for unit in ("relay.service", "relay.socket"):
            shutil.copy(self.checkout / "config/systemd" / unit, self.root / "etc/systemd/system")

    @property
    def running(self) -> bool:
        """Whether the relay of this machine is."""
        return (self.root / "relay.pid").exists()

    def stop(self) -> None:
        """Whatever a guide left running."""
        if self.running:
            self.run(["systemctl stop relay.service"])


def _own_group() -> str:
    return grp.getgrgid(os.getgid()).gr_name
