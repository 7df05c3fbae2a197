"""A process that uses an account's grant: told the time line by line, it answers with its access token.

argv: the account's host, its integration as JSON, the store's URL, where it crashes. Standard input: Unix seconds.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from relay.account import pace
from relay.account.opening import asking
from relay.account.session import Session
from relay.errors import AccountError
from relay.model import Account, OAuthGrant, Secret
from relay.store import open as stores
from relay.store.account_records import AccountRecord
from relay.store.postgres.account_rows import HeldRow
from relay.store.sqlite.account_files import HeldFile
from relay.store.url import parse_store_url

CRASHED = 9


def crash_at(place: str) -> None:
    """End as by SIGKILL before amoCRM is asked, between its answer and the write, or after that."""
    ask = Session.ask

    async def asked(*how: Any, **more: Any) -> Any:
        os._exit(CRASHED) if place == "ask" else None
        return await ask(*how, **more)

    def writing(write: Any) -> Any:
        async def written(self: Any, record: AccountRecord) -> None:
            os._exit(CRASHED) if place == "answer" else None
            await write(self, record)
            os._exit(CRASHED) if place == "write" else None

        return written

    Session.ask = asked  # type: ignore[method-assign]
    for held in (HeldFile, HeldRow):
        held.write = writing(held.write)  # type: ignore[method-assign]


async def main(host: str, integration: str, store: str, place: str) -> None:
    named = json.loads(integration)
    oauth = OAuthGrant(
        client_id=named["client_id"],
        client_secret=Secret(named["client_secret"]),
        redirect_uri=named["redirect_uri"],
    )
    now = 0.0
    records = stores.account_records(parse_store_url(store))
    account = Account(name="main", host=host, oauth=oauth)
    async with asking(account, records, clock=lambda: datetime.fromtimestamp(now, UTC)) as client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            now = float(line)
            try:
                token = (await client.tokens.get()).reveal()
                await client.tokens.close()
            except AccountError as error:
                token = f"{type(error).__name__}: {error}"
            print(token, flush=True)


if __name__ == "__main__":
    pace.RATE, pace.MOST_A_SECOND = 1000.0, 1000  # the time here is the test's
    crash_at(sys.argv[4])
    asyncio.run(main(*sys.argv[1:]))
