"""`relay`, with one promise broken: a webhook is answered before it is on disk."""

from asyncio import Future, get_running_loop
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

from relay.cli import main
from relay.model import Delivery, RoutedEvent, Webhook
from relay.store.records import Duplicate
from relay.store.sqlite.store import SqliteStore

LATE = 0.1  # seconds between the answer and the commit

keep = SqliteStore.keep


def keep_later(
    store: SqliteStore, webhook: Webhook, routed: Sequence[RoutedEvent], **windows: Any
) -> Future[list[Delivery] | Duplicate]:
    """Done at once; what is owed is left for the dispatcher to find."""
    loop = get_running_loop()
    unclaimed = [
        replace(each, planned=tuple(replace(planned, lease=None) for planned in each.planned)) for each in routed
    ]
    loop.call_later(LATE, partial(keep, store, webhook, unclaimed, **windows))
    done: Future[list[Delivery] | Duplicate] = loop.create_future()
    done.set_result([])
    return done


if __name__ == "__main__":
    patch.object(SqliteStore, "keep", keep_later).start()
    main()
