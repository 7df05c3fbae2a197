"""Request and `oauth2` of a target -> the request with an access token, which all attempts share.

    attempts ──▶ token ──(none, or it ends soon)──▶ one fetch for all ──▶ token, or why there is none
                   ▲                                                         │
                   └──────────────── answered 401: once more ────────────────┘

A token is fetched when an attempt needs it, never by a timer: an idle target costs its token endpoint nothing.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from relay.delivery.answer import Answer, Judgement
from relay.delivery.oauth2 import NoToken, Token, token_of, token_request
from relay.delivery.send import Sender, Sends
from relay.http.request import Request
from relay.model import OAuth2, Outcome, Reason, Target
from relay.signals import Emit, TokenFetched, TokenNotRenewed

FETCH_TIMEOUT = timedelta(seconds=15)
"""For one token: an attempt with a shorter timeout ends earlier, and the next finds the token."""
RENEWED_AGAIN_AFTER = 60.0
"""Seconds after which a token that took the place of a refused one, and was refused, too, is replaced once more."""
PAUSE = 10.0
"""Seconds between two attempts to renew a token that is still valid."""


class Tokens:
    """The access token of one target's settings: fetched once for all attempts. Lives in one event loop.

    `start` runs a fetch in the background. Times are in loop time, which nobody sets.
    """

    def __init__(
        self,
        target: Target,
        settings: OAuth2,
        *,
        emit: Emit,
        start: Callable[[Coroutine[None, None, Token | NoToken]], "asyncio.Task[Token | NoToken]"],
        new_sender: Callable[[], Sender],
    ) -> None:
        self._name, self._tls, self._egress = target.name, target.tls, target.egress
        self._settings = settings
        self._emit = emit
        self._start = start
        self._new_sender = new_sender
        self._time = asyncio.get_running_loop().time
        self._fetching: asyncio.Task[Token | NoToken] | None = None
        self._token: Token | None = None
        self._fetched_at = 0.0
        self._renew_at = self._ends_at = math.inf
        self._proven = True  # no token was refused since one was last accepted

    def serve(self, target: Target) -> bool:
        """True if these tokens are those of a target with such settings."""
        return (target.oauth2, target.tls, target.egress) == (self._settings, self._tls, self._egress)

    async def get(self, within: float) -> Token | NoToken:
        """Return the token; wait so many seconds for it if there is none. One that ends soon is renewed meanwhile."""
        token, now = self._token, self._time()
        if token and now < self._renew_at:
            return token
        fetching = self._fetch()
        if token and now < self._ends_at:
            return token
        try:
            async with asyncio.timeout(within):
                return await asyncio.shield(fetching)  # the others need it, whatever becomes of this attempt
        except TimeoutError:
            return NoToken(f"none within {within:.1g} s")

    async def instead_of(self, refused: Token, within: float) -> Token | NoToken:
        """Return another token than the one that was answered 401; the same if there is no point in a new one.

        One that replaced a refused token, and was never accepted, is replaced after `RENEWED_AGAIN_AFTER` at the
        earliest: a target that accepts none must not make each attempt fetch one.
        """
        if refused is self._token:
            if not self._proven and self._time() - self._fetched_at < RENEWED_AGAIN_AFTER:
                return refused
            self._token, self._proven = None, False
        return await self.get(within)

    def accepted(self, token: Token) -> None:
        """Note that the target has accepted this token."""
        if token is self._token:
            self._proven = True

    def _fetch(self) -> "asyncio.Task[Token | NoToken]":
        """Begin a fetch, unless one is under way."""
        if self._fetching is None or self._fetching.done():
            self._fetching = self._start(self._fetch_one())
        return self._fetching

    async def _fetch_one(self) -> Token | NoToken:
        began, answered = self._time(), _Whole()
        request = token_request(self._settings, self._egress.proxy.secrets if self._egress.proxy else ())
        sender = self._new_sender()  # one a fetch: no connection is kept for the next, an hour later
        try:
            outcome = await sender.send(
                request, timeout=FETCH_TIMEOUT, tls=self._tls, egress=self._egress, judge=answered
            )
        finally:
            await sender.close()
        token = token_of(answered.answer, request.secrets) if answered.answer else NoToken(_why_unanswered(outcome))
        self._on_fetched(token, began)
        return token

    def _on_fetched(self, token: Token | NoToken, began: float) -> None:
        now = self._time()
        if isinstance(token, NoToken):
            if self._token and now < self._ends_at:
                self._renew_at = min(now + PAUSE, self._ends_at)
                self._emit(TokenNotRenewed(target=self._name, detail=token.why))
            return
        self._token, self._fetched_at = token, now
        renewed_after, life = token.renewed_after, token.life
        self._renew_at = math.inf if renewed_after is None else began + renewed_after.total_seconds()
        self._ends_at = math.inf if life is None else began + life.total_seconds()
        self._emit(
            TokenFetched(target=self._name, took=timedelta(seconds=now - began), life=life, detail=token.remark or None)
        )


def _why_unanswered(outcome: Outcome) -> str:
    match outcome.reason:
        case Reason.TIMEOUT:
            return f"no answer within {FETCH_TIMEOUT.total_seconds():g} s"
        case Reason.PROTOCOL:
            return "it answered with something else than HTTP"  # which the error quotes, escaped
        case _:
            return " ".join(outcome.detail.split())


class _Whole:
    """Keeps an answer as it is. A `Judge`."""

    answer: Answer | None = None

    def patience(self, status: int) -> float | None:
        return math.inf

    def judge(self, answer: Answer) -> Judgement:
        self.answer = answer
        return Judgement()


class AuthorizedSender:
    """Sends with the target's token; where there is none, nothing is sent, and the outcome is `OAUTH2`.

    All of it within the attempt's timeout: waiting for a token takes at most half of what is left of that, so that the
    request has time, too.
    """

    def __init__(self, sender: Sends, tokens: Tokens, target: Target, *, clock: Callable[[], datetime]) -> None:
        self._sender = sender
        self._tokens = tokens
        self._renews = 401 not in target.ok_on
        self._clock = clock
        self._time = asyncio.get_running_loop().time

    async def send(
        self,
        request: Request,
        *,
        timeout: timedelta,  # noqa: ASYNC109  one deadline for all
        now: datetime | None = None,
        **how: Any,
    ) -> Outcome:
        """Make one attempt; after a 401 the request is sent once more, if there is another token then."""
        started_at, start = now or self._clock(), self._time()
        outcome = await self._attempt(request, start + timeout.total_seconds(), how)
        if isinstance(outcome, NoToken):
            outcome = Outcome(reason=Reason.OAUTH2, started_at=started_at, took=timedelta(), detail=outcome.why)
        return replace(outcome, started_at=started_at, took=timedelta(seconds=self._time() - start))

    async def _attempt(self, request: Request, until: float, how: Mapping[str, Any]) -> Outcome | NoToken:
        token = await self._tokens.get(self._half(until))
        if isinstance(token, NoToken):
            return NoToken(f"no token from token_url: {token.why}")
        outcome = await self._send(request, token, until, how)
        if outcome.status != 401 or not self._renews:
            return outcome
        another = await self._tokens.instead_of(token, self._half(until))
        if isinstance(another, NoToken):
            return NoToken(f"answered 401, and no other token from token_url: {another.why}")
        return outcome if another.text == token.text else await self._send(request, another, until, how)

    async def _send(self, request: Request, token: Token, until: float, how: Mapping[str, Any]) -> Outcome:
        left = timedelta(seconds=max(until - self._time(), 0.0))
        outcome = await self._sender.send(token.authorize(request), timeout=left, **how)
        if outcome.status is not None and outcome.status != 401 and outcome.status < 500:
            self._tokens.accepted(token)
        return outcome

    def _half(self, until: float) -> float:
        return max(until - self._time(), 0.0) / 2
