"""`python -m tests.store.killed_forget FOLDER EVERY`: what kill -9 at each EVERY-th statement of an erasure leaves.

FOLDER/start is a store of an earlier relay, which left the bytes of what it deleted in the file; FOLDER/1, FOLDER/2 …
what was there when a statement was about to run. Prints how many there are.
"""

import asyncio
import os
import shutil
import sys
from itertools import count
from pathlib import Path

import apsw

from relay.model import Outcome, Reason, RetryAt
from relay.model.enrich import Enrichment
from relay.operations.erasure import complete, forget
from relay.store.erasure_plan import Scope
from relay.store.sqlite import erasure, rewriting
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, act, claim, to
from tests.store.test_erasure import FORD, NAME, PERSON, ZAPHOD, arrived

CANARIES = (b"Zaphod", b"Beeblebrox", b"123-45-67", b"9991234567")
KILLED = 9
WEBHOOKS = 60
steps: "count[int] | None" = None
last = 0


def leave(_cursor: apsw.Cursor, sql: str, values: object) -> bool:
    """Ends this process at the last-th statement, once they are counted; not those of each row of zeros."""
    zeros = (
        sql.startswith("insert")
        and isinstance(values, (list, tuple))
        and (values[0] == " " or (isinstance(values[0], int) and values[0] < 0))
    )
    if steps is not None and not zeros and next(steps) == last:
        os._exit(KILLED)
    return True


def open_store(path: Path) -> SqliteStore:
    return SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None)


async def fill(path: Path) -> None:
    """Webhooks of all sizes about a person, what attempts told, what was fetched, and what was purged."""
    store = open_store(path)
    for number in range(1, WEBHOOKS + 1):
        note = "x" * (number * 397 % 9_000)
        person = {**ZAPHOD, "text": f"{note} {NAME}"} if number % 2 else {**FORD, "text": note}
        await store.keep(*arrived(number, to(), contacts={"add": [person]}))
    for each in await claim(store, limit=WEBHOOKS):
        told = f"{'y' * (each.row * 31 % 500)} no such Zaphod" if each.row % 2 else ""
        outcome = Outcome(reason=Reason.SERVER_ERROR, started_at=NOON, took=MINUTE, status=500, detail=told)
        await store.settle(each, outcome, RetryAt(NOON + MINUTE), now=NOON)
    rows = range(1, WEBHOOKS, 4)
    found = [Enrichment(row=row, at=NOON, value={"contacts": [ZAPHOD]}) for row in rows]
    await store.enrichments.record(found, now=NOON)
    await store.close()
    older = apsw.Connection(str(path))
    older.pragma("secure_delete", 0)
    which = "event in (select seq from events where webhook % 3 = 0)"
    for table in ("attempts", "deliveries", "enrichments"):
        older.execute(f"delete from {table} where {which}")
    told = f'"{NAME} {"z" * 900}"'
    older.execute("insert into reports (name, as_of, value) values ('told', 0, ?)", (told,))
    older.execute("update reports set value = '1' where name = 'told'")
    older.execute("delete from events where webhook % 3 = 0; delete from webhooks where seq % 3 = 0")
    older.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    older.close()


ACT = act(1, at=NOON + MINUTE, command="forget")


async def erase_rows(store: SqliteStore) -> None:
    await forget(store, Scope(refs=frozenset({PERSON})), ACT)


async def erase_in(store: SqliteStore) -> None:
    await erase_rows(store)
    assert await complete(store, ACT.id) == ()


async def erase(path: Path) -> None:
    store = open_store(path)
    try:
        await erase_in(store)
    finally:
        await store.close()


def at_once() -> None:
    """Nobody else writes here."""
    rewriting.PAUSE = erasure.PAUSE = 0.0


def killed(folder: Path, number: int, step: int) -> bool:
    """False if it was through before."""
    global last, steps
    shutil.copytree(folder / "start", folder / str(number))
    if not (child := os.fork()):  # an import takes longer than an erasure
        apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(leave))
        steps, last = count(1), step
        asyncio.run(erase(folder / str(number) / "relay.db"))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


if __name__ == "__main__":
    at_once()
    root, every = Path(sys.argv[1]), int(sys.argv[2])
    (root / "start").mkdir()
    asyncio.run(fill(root / "start" / "relay.db"))
    print(next(n for n in count(1) if not killed(root, n, 1 + (n - 1) * every)) - 1)
