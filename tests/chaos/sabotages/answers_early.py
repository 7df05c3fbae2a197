"""`relay`, with one promise broken: a webhook is answered before it is on disk."""

from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from relay.cli import main
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite.store import SqliteStore

LATE = 0.1  # seconds between the answer and the commit

keep_many = SqliteStore.keep_many


def keep_later(
    store: SqliteStore,
    requests: Sequence[KeepRequest],
    on_replies: Callable[[Sequence[KeepResult | Exception]], object],
) -> None:
    """Reply at once; what is owed is left for the dispatcher to find."""
    loop = get_running_loop()
    loop.call_later(LATE, partial(keep_many, store, [unclaimed(each) for each in requests], lambda _replies: None))
    loop.call_soon(on_replies, [[] for _ in requests])


def unclaimed(request: KeepRequest) -> KeepRequest:
    return request._replace(
        routed=[
            replace(each, planned=tuple(replace(planned, lease=None) for planned in each.planned))
            for each in request.routed
        ]
    )


if __name__ == "__main__":
    patch.object(SqliteStore, "keep_many", keep_later).start()
    main()
