"""`hookspool`, `py-spy` -> their paths, in a virtual environment of the benches' own: the relay needs neither."""

import subprocess
import sys
import venv
from pathlib import Path

from tests.bench.wrk import HERE, BenchFailed

HOME = HERE.parent.parent / ".venv" / "bench"
LOCK = HERE / "requirements.txt"


def tool(name: str) -> Path:
    """Installed by the lock when it is first asked for, and again once that has changed."""
    stamp = HOME / "stamp"
    if not stamp.exists() or stamp.read_text() != LOCK.read_text():
        _install()
        stamp.write_text(LOCK.read_text())
    return HOME / "bin" / name


def _install() -> None:
    print(f"Installing what the benches need, into {HOME} …", file=sys.stderr)
    venv.create(HOME, with_pip=True, clear=True)
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run([*pip, "--require-hashes", "--only-binary=:all:", "-r", str(LOCK)], check=False)
    if done.returncode:
        raise BenchFailed(f"{LOCK.name}: pip could not install it, see above")
