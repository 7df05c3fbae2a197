"""A store's URL -> a process that verifies it and prints what it found: `python -m relay.daemon.verifying`.

Checksums of all rows would keep this process from answering webhooks in time, and a thread cannot be stopped.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from threading import Thread
from typing import BinaryIO

from relay.errors import StoreError
from relay.operations.verify import answer
from relay.store.open import StoreUrl, held_up
from relay.store.url import parse_store_url, store_url_text

NICE = 10
"""Below the relay: it takes what that leaves of the processor."""

LOOK_EVERY = 1.0  # seconds
HELD_UP = (
    "verifying was ended: the write-ahead log grew too long meanwhile, verify a backup instead, "
    "with relay backup and relay verify --store"
)


async def verify_beside(store: StoreUrl) -> bytes:
    """What `operations.verify.answer` says of the store; the process is killed if this call is cancelled.

    Or if it holds up the store, for SQLite checks the structure in one read: StoreError. It ends with this process.

    Its standard error is that of this process, so that a traceback is in the relay's log.
    """
    pipe = asyncio.subprocess.PIPE
    without_folder = "-P"  # the working directory is not on the path of modules
    command = sys.executable, without_folder, "-m", "relay.daemon.verifying"
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    talk = asyncio.ensure_future(_answer_of(process, store))
    try:
        while not talk.done():
            if await asyncio.to_thread(held_up, store):
                raise StoreError(HELD_UP)
            await asyncio.wait([talk], timeout=LOOK_EVERY)
        found = talk.result()
    finally:
        talk.cancel()
        with suppress(ProcessLookupError):  # it has ended
            process.kill()
        await process.wait()
    if process.returncode:
        raise StoreError(
            f"the process that verified the store ended with {process.returncode}: "
            "see the relay's log, or run relay verify on its machine"
        )
    return found


async def _answer_of(process: Process, store: StoreUrl) -> bytes:
    """Its standard input stays open, for at the end of it the process ends."""
    assert process.stdin and process.stdout  # noqa: S101  they are pipes
    with suppress(ConnectionError):  # it has ended: its exit code says so
        process.stdin.write(_written(store))
        await process.stdin.drain()
    found = await process.stdout.read()
    await process.wait()
    return found


def _written(store: StoreUrl) -> bytes:
    """By standard input, since other users of the machine can read arguments, and the URL may have a password."""
    text = os.fsencode(store_url_text(store))
    return b"%d\n%b" % (len(text), text)


def _read(source: BinaryIO) -> StoreUrl:
    return parse_store_url(os.fsdecode(source.read(int(source.readline()))))


def _end_with_relay() -> None:
    """Wait for the end of standard input, which comes when the relay is gone, however it went."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main(store: StoreUrl) -> None:
    """Verify the store, print the answer."""
    with suppress(OSError):  # systemd's @resources has the call, which the unit of the relay forbids
        os.nice(NICE)
    sys.stdout.buffer.write(answer(store))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C at the relay's terminal is no fault for its log
    told = _read(sys.stdin.buffer)
    Thread(target=_end_with_relay, daemon=True).start()
    main(told)
