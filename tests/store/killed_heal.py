"""`python -m tests.store.killed_heal FOLDER`: what kill -9 at each statement of a scan and of a late hook leaves.

FOLDER/1/relay.db is what was there when the first statement was about to run, FOLDER/2/relay.db the second, and so on.
Prints how many there are.
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

import apsw

from relay.model.heal import HealState
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON, routed, webhook
from tests.store.healing import LATE, healed, healing_webhook, hook, record

KILLED = 9
steps: "count[int] | None" = None
last = 0


def leave(_cursor: apsw.Cursor, _sql: str, _values: object) -> bool:
    """Ends this process at the last-th statement, once they are counted."""
    if steps is not None and next(steps) == last:
        os._exit(KILLED)
    return True


async def scan_and_hook(store: SqliteStore) -> None:
    """One commit of a scan that heals, matches and marks; then a webhook that comes late for what was healed."""
    records = [healed("e1", 1), record("e2", HealState.MATCHED, key="lead 8", webhook="webhook-0002"), record("e3")]
    await store.healing.record_heal("crm", records, healed=[healing_webhook(1)], marks={"core": NOON})
    await store.keep(webhook(3), [routed(3, *LATE)], hooks=[hook()])


async def run(path: Path) -> None:
    global steps
    store = SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None)
    await store.keep(webhook(2), [routed(2)], hooks=[hook("lead 8")])
    steps = count(1)
    await scan_and_hook(store)
    steps = None
    await store.close()


def killed(folder: Path, step: int) -> bool:
    """False if it was through before."""
    global last
    (folder / str(step)).mkdir()
    last = step
    if not (child := os.fork()):  # an import takes longer than a start
        apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(leave))
        asyncio.run(run(folder / str(step) / "relay.db"))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


if __name__ == "__main__":
    print(next(step for step in count(1) if not killed(Path(sys.argv[1]), step)) - 1)
