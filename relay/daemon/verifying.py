"""A store's URL -> a process that verifies it and prints what it found: `python -m relay.daemon.verifying`.

Checksums of all rows would keep this process from answering webhooks in time, and a thread cannot be stopped.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import orjson

from relay.errors import StoreError
from relay.operations.verify import answer
from relay.store.open import PostgresUrl, SqliteUrl, StoreUrl, held_up

NICE = 10
"""Below the relay: it takes what that leaves of the processor."""

LOOK_EVERY = 1.0  # seconds
HELD_UP = (
    "verifying was ended: the write-ahead log grew too long meanwhile, verify a backup instead, "
    "with relay backup and relay verify --store"
)


async def verify_beside(store: StoreUrl) -> bytes:
    """What `operations.verify.answer` says of the store; the process is killed if this call is cancelled.

    Or if it holds up the store, for SQLite checks the structure in one read: StoreError.

    Its standard error is that of this process, so that a traceback is in the relay's log.
    """
    pipe = asyncio.subprocess.PIPE
    without_folder = "-P"  # the working directory is not on the path of modules
    command = sys.executable, without_folder, "-m", "relay.daemon.verifying"
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    talk = asyncio.ensure_future(process.communicate(_written(store)))
    try:
        while not talk.done():
            if await asyncio.to_thread(held_up, store):
                raise StoreError(HELD_UP)
            await asyncio.wait([talk], timeout=LOOK_EVERY)
        found, _ = talk.result()
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


def _written(store: StoreUrl) -> bytes:
    """By standard input, since other users of the machine can read arguments, and the URL may have a password."""
    match store:
        case SqliteUrl(path):
            return orjson.dumps({"path": os.fsdecode(path)})
        case PostgresUrl(dsn, shown, prepare):
            return orjson.dumps({"dsn": dsn, "shown": shown, "prepare": prepare})


def _read(text: bytes) -> StoreUrl:
    match orjson.loads(text):
        case {"path": path}:
            return SqliteUrl(Path(path))
        case found:
            return PostgresUrl(**found)


def main() -> None:
    """Read the URL, verify the store, print the answer."""
    with suppress(OSError):  # systemd's @resources has the call, which the unit of the relay forbids
        os.nice(NICE)
    sys.stdout.buffer.write(answer(_read(sys.stdin.buffer.read())))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C at the relay's terminal is no fault for its log
    main()
