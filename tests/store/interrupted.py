"""`python -m tests.store.interrupted FOLDER [DATABASE]`: what kill -9 at each statement of a start leaves.

FOLDER/1/relay.db is what was there when the first statement was about to run, FOLDER/2/relay.db the second, and so on;
each of them was nothing before, or a copy of DATABASE. Prints how many there are.
"""

import asyncio
import os
import shutil
import sys
from itertools import count
from pathlib import Path

import apsw

from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON

KILLED = 9


async def start(path: Path, last: int) -> None:
    """Ends this process at the last-th statement, if there are so many."""
    steps = count(1)

    def leave(_cursor: apsw.Cursor, _sql: str, _values: object) -> bool:
        if next(steps) == last:
            os._exit(KILLED)
        return True

    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(leave))
    await SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None).close()


def killed(folder: Path, step: int, database: Path | None) -> bool:
    """False if it was through before."""
    made = folder / str(step)
    made.mkdir()
    if database:
        shutil.copy(database, made / "relay.db")
    child = os.fork()  # an import takes longer than a start
    if not child:
        asyncio.run(start(made / "relay.db", step))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:]]
    print(next(step for step in count(1) if not killed(given[0], step, *given[1:] or [None])) - 1)
