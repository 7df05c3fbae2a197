"""For all tests: no file leaves a child process or a listening socket behind, and no example has a time limit."""

import signal
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job and what that starts

hypothesis.settings.register_profile("relay", deadline=None)  # the default of 200 ms fails on a busy machine
hypothesis.settings.load_profile("relay")


@pytest.fixture(autouse=True, scope="module")
def leaves_nothing_behind() -> Iterator[None]:
    """Fail the file's last test (of this worker) if the file leaves more running than it found."""
    this = psutil.Process()
    children, listeners = set(this.children(recursive=True)), listening(this)
    yield
    _, alive = psutil.wait_procs(set(this.children(recursive=True)) - children, timeout=2)
    assert not alive, f"left running: {[process.cmdline() for process in alive]}"
    assert listening(this) <= listeners, f"left listening: {listening(this) - listeners}"


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Return the addresses that this very process accepts TCP connections on."""
    return {tuple(c.laddr) for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}
