"""Socket activation and readiness: LISTEN_FDS -> sockets that stay open across restarts; READY=1 -> systemd.

See sd_listen_fds(3) and sd_notify(3).
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from relay.errors import ConfigurationError
from relay.os_errors import os_error_text

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The listening sockets that were passed; None: none for that listener."""

    public: socket.socket | None = None
    admin: socket.socket | None = None


def passed(environment: Mapping[str, str], *, pid: int) -> Passed:
    """Return the sockets that `environment` assigns to process `pid`.

    LISTEN_FDNAMES may name one `public` and one `admin`; unnamed ones are public and admin, in this order.
    ConfigurationError if there are more, or if one is not a listening TCP socket.
    """
    number = _number(environment, pid)
    named = environment.get("LISTEN_FDNAMES", "").split(":")
    names = [name if name in ("public", "admin") else "" for name in (*named, *[""] * number)][:number]
    vacant = [name for name in ("public", "admin") if name not in names]
    sockets: dict[str, socket.socket] = {}
    for descriptor, name in enumerate(names, FIRST_DESCRIPTOR):
        listener = name or (vacant.pop(0) if vacant else "")
        if not listener or listener in sockets:
            raise ConfigurationError(f"{number} sockets are passed: the relay takes one named public, one named admin")
        sockets[listener] = _listening(descriptor, listener)
    return Passed(**sockets)


def _number(environment: Mapping[str, str], pid: int) -> int:
    try:
        ours = int(environment.get("LISTEN_PID", "0")) == pid
        return max(int(environment.get("LISTEN_FDS", "0")), 0) if ours else 0
    except ValueError:
        raise ConfigurationError("LISTEN_PID and LISTEN_FDS must be numbers: let systemd set them") from None


def _listening(descriptor: int, listener: str) -> socket.socket:
    try:
        given = socket.socket(fileno=descriptor)
        accepts = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigurationError(
            f"descriptor {descriptor} ({listener}) is not a socket: {os_error_text(error)}"
        ) from None
    if not accepts or given.type != socket.SOCK_STREAM or given.family not in (socket.AF_INET, socket.AF_INET6):
        raise ConfigurationError(
            f"descriptor {descriptor} ({listener}) is not a listening TCP socket:"
            " the socket unit needs ListenStream with a port, and Accept=no"
        )
    return given


def notify(state: str, environment: Mapping[str, str]) -> None:
    """Send a state, `READY=1` or `STOPPING=1`, to the supervisor that set NOTIFY_SOCKET; errors are ignored."""
    if address := environment.get("NOTIFY_SOCKET"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(f"\0{address[1:]}" if address[0] == "@" else address)
            datagrams.send(state.encode())
