"""`relay`, with one promise broken: a webhook is answered before it is in the spool."""

from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from functools import partial
from unittest.mock import patch

from relay.cli import main
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite.spool import SqliteSpool

LATE = 0.5  # seconds between the answer and the commit

spool_many = SqliteSpool.spool_many


def spool_later(
    spool: SqliteSpool,
    requests: Sequence[KeepRequest],
    on_replies: Callable[[Sequence[KeepResult | Exception]], object],
) -> None:
    """Reply at once."""
    loop = get_running_loop()
    loop.call_later(LATE, partial(spool_many, spool, requests, lambda _replies: None))
    loop.call_soon(on_replies, [[] for _ in requests])


if __name__ == "__main__":
    patch.object(SqliteSpool, "spool_many", spool_later).start()
    main()
