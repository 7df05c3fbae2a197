"""An account of the routes file -> the client that asks it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from relay.account.block import Block
from relay.account.client import AccountClient
from relay.account.limiter import Limiter
from relay.account.oauth import OAuthTokens
from relay.account.session import Session
from relay.account.tokens import LongLivedToken, Tokens
from relay.model import Account, Secret
from relay.signals import Emit
from relay.store.account_records import AccountRecords


def open_client(
    account: Account, records: AccountRecords, *, clock: Callable[[], datetime], emit: Emit
) -> AccountClient:
    """Return a client, which the caller closes. Needs a running loop; nothing is asked yet.

    One for each account and process: it has the limiter.
    """
    session, limiter = Session(account.url), Limiter()
    tokens: Tokens
    if account.oauth:
        tokens = OAuthTokens(
            account, account.oauth, records=records, session=session, limiter=limiter, clock=clock, emit=emit
        )
    else:
        tokens = LongLivedToken(account.token or Secret(""))
    block = Block(account, records=records, emit=emit)
    return AccountClient(account, tokens, session=session, limiter=limiter, block=block, emit=emit)


@asynccontextmanager
async def asking(
    account: Account, records: AccountRecords, *, clock: Callable[[], datetime]
) -> AsyncIterator[AccountClient]:
    """A client for a command, which announces nothing."""
    client = open_client(account, records, clock=clock, emit=lambda _signal: None)
    try:
        yield client
    finally:
        await client.close()
