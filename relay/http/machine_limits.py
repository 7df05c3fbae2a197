"""The limits of the machine -> those of a listener: connections, time-outs, sizes, memory."""

import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from relay.errors import ConfigurationError

MAX_LINE = 8190  # bytes of a request line
MAX_FIELD = 8190  # bytes of a header
MAX_HEADERS = 64
MAX_HEAD = 16 * 1024  # bytes of a request line and headers that are not complete yet
LEAST_FILES = 1024  # open files that a relay needs
MOST_FILES = 1 << 20  # in place of "unlimited", which no system takes literally
RESERVED_FILES = 200  # for the store, the admin listener, the log, and connections not yet evicted
MOST_CONNECTIONS = 1000  # each may cost some 50 KB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one listener. Times are in seconds; `memory` is in bytes, for all request bodies that are being processed."""

    connections: int = (LEAST_FILES - RESERVED_FILES) // 2
    handshake: float = 5.0  # for the TLS handshake
    idle: float = 10.0  # keep-alive without a request; also for the head of one to arrive
    body: float = 10.0  # for a body to arrive; aiohttp has no such time-out
    lingering: float = 1.0  # in which the rest of a rejected body is read and discarded
    memory: int = 128 * 1024 * 1024

    @classmethod
    def within(cls, files: int, *, max_body: int) -> "Limits":
        """Limits of the public listener in a process that may open so many `files`: half of them are for targets."""
        half = (files - RESERVED_FILES) // 2
        return cls(connections=min(half, MOST_CONNECTIONS), memory=max(cls().memory, 4 * max_body))


def raise_files() -> int:
    """Raise the soft limit of open files to the hard one; return how many files this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # a sandbox or the kernel may forbid it: keep the soft one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    most = MOST_FILES if soft == resource.RLIM_INFINITY else soft
    if most < LEAST_FILES:
        raise ConfigurationError(
            f"only {most} files may be open at once, the relay needs {LEAST_FILES}:"
            " raise the hard limit (LimitNOFILE of systemd, --ulimit nofile of docker, ulimit -Hn)"
        )
    return most


def descriptor_shortage(attempts: int, *, files: int, limits: Limits) -> str | None:
    """The warning if so many concurrent attempts, a connection each, could need more open files than are left."""
    left = files - RESERVED_FILES - limits.connections
    if attempts <= left:
        return None
    return (
        f"the targets' concurrency adds up to {attempts} connections, but only {left} files are left for them:"
        " lower it, or raise the hard limit of open files (LimitNOFILE)"
    )


def handler_arguments(limits: Limits) -> dict[str, Any]:
    """The arguments of aiohttp's request handler. It has no time-out for a body: that is the reader's."""
    return {
        "access_log": None,
        "keepalive_timeout": limits.idle,
        "lingering_time": limits.lingering,
        "auto_decompress": False,  # a body is stored as it came
        "max_line_size": MAX_LINE,
        "max_field_size": MAX_FIELD,
        "max_headers": MAX_HEADERS,
    }
