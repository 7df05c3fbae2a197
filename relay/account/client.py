"""A request to amoCRM's API -> its JSON: with a token, in its turn, and told apart from what is no answer.

    caller ──▶ limiter ──▶ tokens ──▶ session ──▶ answers ──▶ JSON, None for nothing, or an AccountError
                  ▲                       │ Date
                  └── 429: all wait ──────┴──▶ server_clock

After a 403 without a reason nothing more is sent: see `block`.
"""

import asyncio
from collections.abc import Callable, Mapping

from relay.account.answers import TooMany, read
from relay.account.block import Block
from relay.account.limiter import Limiter, Priority
from relay.account.server_clock import ServerClock, ServerTime
from relay.account.session import ConnectionLost, Params, Session
from relay.account.tokens import Tokens
from relay.errors import (
    AccountAway,
    AccountError,
    Blocked,
    Forbidden,
    RateLimited,
    RequestRefused,
    TokenRefused,
    Unpaid,
)
from relay.model import Account, Json, Secret
from relay.signals import Emit
from relay.signals.account import AccountAsked, AccountOutcome

PAUSES = 4  # after so many 429 in a row a request is given up; the next ones wait as long


class AccountClient:
    """All requests of this process to one account. Lives in one event loop.

    Paths are whole: `/api/v4/leads`. A request is repeated after a 429, once after a 401 if there is another token, and
    a GET once after a lost connection; after nothing else, so that callers know what was done.
    """

    def __init__(
        self, account: Account, tokens: Tokens, *, session: Session, limiter: Limiter, block: Block, emit: Emit
    ) -> None:
        self.account = account
        self.tokens = tokens
        self.block = block
        self._session = session
        self._limiter = limiter
        self._emit = emit
        self._clock = ServerClock()
        self._time: Callable[[], float] = asyncio.get_running_loop().time

    async def get(
        self, path: str, params: Params | None = None, *, priority: Priority = Priority.HEAL
    ) -> Mapping[str, Json] | None:
        """Return the answer's JSON, None for 204: an empty list, a page past the last one, an unknown id.

        Raises an AccountError.
        """
        return await self._ask("GET", path, params, None, priority)

    async def post(self, path: str, body: Json, *, priority: Priority = Priority.GUARD) -> Mapping[str, Json] | None:
        """Send JSON; see `get`."""
        return await self._ask("POST", path, None, body, priority)

    async def delete(self, path: str, body: Json, *, priority: Priority = Priority.GUARD) -> Mapping[str, Json] | None:
        """Delete what JSON describes, as amoCRM's webhooks are; see `get`."""
        return await self._ask("DELETE", path, None, body, priority)

    def server_time(self) -> ServerTime | None:
        """Return the time on the account's clock; None if no call of the last hour told it to within 5 s."""
        return self._clock.at(self._time())

    async def close(self) -> None:
        """Close all connections, once a token that is being renewed is in the store."""
        await self.tokens.close()
        await self._session.close()

    async def _ask(
        self, method: str, path: str, params: Params | None, body: Json, priority: Priority
    ) -> Mapping[str, Json] | None:
        await self.block.check()
        token = await self._token()
        lost, renewed, pauses = method != "GET", False, 0
        while pauses < PAUSES:
            try:
                found = await self._once(method, path, params, body, priority, token)
            except ConnectionLost:
                if lost:
                    raise
                lost = True
            except TokenRefused:
                another = None if renewed else await self.tokens.instead_of(token)
                if another is None:
                    raise
                token, renewed = another, True
            else:
                if not isinstance(found, TooMany):
                    return found
                pauses += 1
        raise RateLimited(f"{method} {path}: answered 429 {pauses} times: too many requests")

    async def _token(self) -> Secret:
        try:
            return await self.tokens.get()
        except Blocked as error:
            await self.block.set(error)
            raise

    async def _once(
        self, method: str, path: str, params: Params | None, body: Json, priority: Priority, token: Secret
    ) -> Mapping[str, Json] | TooMany | None:
        async with self._limiter.turn(priority):
            await self.block.check()  # it may have come while this one waited
            try:
                found = await self._send(method, path, params, body, token)
            except AccountError as error:
                self._emit(AccountAsked(account=self.account.name, outcome=_outcome(error)))
                if isinstance(error, Blocked):
                    await self.block.set(error)
                raise
        self._emit(AccountAsked(account=self.account.name, outcome=_outcome(found)))
        return found

    async def _send(
        self, method: str, path: str, params: Params | None, body: Json, token: Secret
    ) -> Mapping[str, Json] | TooMany | None:
        sent_at = self._time()
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        answer = await self._session.ask(method, path, params, body=body, headers=headers)
        self._clock.learn(answer.headers.get("date"), sent_at=sent_at, answered_at=self._time())
        found = read(answer.without(token), f"{method} {path}")
        if isinstance(found, TooMany):
            self._limiter.limited(found.pause)
        else:
            self._limiter.served()
        return found


def _outcome(found: Mapping[str, Json] | TooMany | AccountError | None) -> AccountOutcome:
    match found:
        case TooMany() | RateLimited():
            return AccountOutcome.LIMITED
        case TokenRefused():
            return AccountOutcome.UNAUTHORIZED
        case Unpaid():
            return AccountOutcome.UNPAID
        case Forbidden():
            return AccountOutcome.FORBIDDEN
        case Blocked():
            return AccountOutcome.BLOCKED
        case AccountAway():
            return AccountOutcome.AWAY
        case RequestRefused() | AccountError():
            return AccountOutcome.REFUSED
        case _:
            return AccountOutcome.OK
