"""A name server that has nothing to say of some names, and a relay that asks no other."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ADDRESS = "127.0.0.53"
A = 1  # the type of a question: an IPv4 address
NO_SUCH_NAME = 3
PATIENCE = 20  # seconds the system's lookup waits for an answer: at most 30

REBIND = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class _Server(asyncio.DatagramProtocol):
    """`hangs….test` is never answered, `gone….test` is not there, all else is this machine.

    `rebinds….test` is not there when it is asked for first, and this machine from then on.
    """

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        length = data[12]
        first = data[13 : 13 + length]
        name = data[12 : data.index(0, 12)]
        self.asked[name] += _type(data) == A
        absent = first.startswith(b"gone") or (first.startswith(b"rebinds") and self.asked[name] <= 1)
        if not first.startswith(b"hangs"):
            self.transport.sendto(_answer(data, there=not absent), addr)


def _type(query: bytes) -> int:
    end = query.index(0, 12)
    return int.from_bytes(query[end + 1 : end + 3])


def _answer(query: bytes, *, there: bool) -> bytes:
    """RFC 1035 §4: the question once more and, for type A, one address."""
    end = query.index(0, 12) + 5
    wanted = there and _type(query) == A
    flags = 0x8180 if there else 0x8180 | NO_SUCH_NAME
    counts = (1, int(wanted), 0, 0)
    head = query[:2] + b"".join(each.to_bytes(2) for each in (flags, *counts))
    record = b"\xc0\x0c" + b"".join([A.to_bytes(2), (1).to_bytes(2), (0).to_bytes(4), (4).to_bytes(2)])
    return head + query[12:end] + (record + socket.inet_aton("127.0.0.1") if wanted else b"")


@asynccontextmanager
async def answering(folder: Path, command: Sequence[str]) -> AsyncIterator[tuple[str, ...]]:
    """The command in a mount namespace of its own, in which this server is the only one. Needs root."""
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {ADDRESS}\noptions timeout:{PATIENCE} attempts:1\n")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Server, local_addr=(ADDRESS, 53))
    try:
        yield ("unshare", "--mount", "sh", "-c", REBIND, str(resolv), *command)
    finally:
        transport.close()
