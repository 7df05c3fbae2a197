"""What every test file owes the others: no child process and no listening socket is left behind."""

import signal
from collections.abc import Iterator

import psutil
import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and what that starts


@pytest.fixture(autouse=True, scope="module")
def leaves_nothing_behind() -> Iterator[None]:
    """Fails the file's last test if the file leaves more running than it found."""
    this = psutil.Process()
    children, listeners = set(this.children(recursive=True)), listening(this)
    yield
    _, alive = psutil.wait_procs(set(this.children(recursive=True)) - children, timeout=2)
    assert not alive, f"left running: {[process.cmdline() for process in alive]}"
    assert listening(this) <= listeners, f"left listening: {listening(this) - listeners}"


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Addresses that this very process accepts TCP connections on."""
    return {tuple(c.laddr) for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}
