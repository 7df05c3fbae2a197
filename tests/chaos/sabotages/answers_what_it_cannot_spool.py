"""`relay`, with one promise broken: a webhook is answered 200 although the spool could not commit it."""

from collections.abc import Callable, Sequence
from unittest.mock import patch

from relay.cli import main
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite.spool import SqliteSpool

OnReplies = Callable[[Sequence[KeepResult | Exception]], object]

spool_many = SqliteSpool.spool_many


def spool_in_vain(spool: SqliteSpool, requests: Sequence[KeepRequest], on_replies: OnReplies) -> None:
    """Reply as if all was committed."""
    spool_many(spool, requests, lambda replies: on_replies([[] if isinstance(e, Exception) else e for e in replies]))


if __name__ == "__main__":
    patch.object(SqliteSpool, "spool_many", spool_in_vain).start()
    main()
