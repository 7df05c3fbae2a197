"""`python -m tests.store.spool.killed FROM TO`: what kill -9 at each statement of a page that is forwarded leaves.

FROM holds a stranded spool and a shared store; TO/1 is what was there when the first statement on the spool, or the
first commit of the shared store, was about to run, TO/2 the second, and so on. Prints how many there are.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from unittest.mock import patch

import apsw

from relay.store.spool.drain import drain
from relay.store.spool.pages import Pages
from relay.store.sqlite.spooled import OldWebhook
from tests.store.spool.conftest import audit
from tests.store.spool.test_drain import Server, emit

KILLED = 9

forward_page = Pages._forward_page


class Killer:
    """Ends this process at the last-th statement."""

    def __init__(self, last: int) -> None:
        self._steps = count(1)
        self._last = last
        self._begun = False

    def attach(self, connection: apsw.Connection) -> None:
        """Watch a connection."""
        of_spool = connection.filename.endswith("spool.db")

        def trace(_cursor: apsw.Cursor, sql: str, _values: object) -> bool:
            counts = self._begun and (of_spool or sql.lower().startswith("commit"))
            if counts and next(self._steps) == self._last:
                os._exit(KILLED)
            return True

        connection.set_exec_trace(trace)

    async def forward_page(self, pages: Pages, page: Sequence[OldWebhook]) -> None:
        """From here on statements count."""
        self._begun = True
        await forward_page(pages, page)


def killed(folder: Path, last: int) -> bool:
    """False if the drain was through before."""
    child = os.fork()  # an import takes longer than a drain
    if not child:
        killer = Killer(last)
        apsw.connection_hooks.append(killer.attach)
        with patch.object(Pages, "_forward_page", lambda pages, page: killer.forward_page(pages, page)):
            asyncio.run(drain(folder / "spool.db", Server(folder), audit=audit, emit=emit))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def main(source: Path, to: Path) -> int:
    """How many statements there are."""
    for step in count(1):
        shutil.copytree(source, to / str(step))
        if not killed(to / str(step), step):
            return step - 1
    raise AssertionError


if __name__ == "__main__":
    print(main(*map(Path, sys.argv[1:])))
