"""Target -> what sends its requests: the sender, and before it what its settings ask for.

attempt ──▶ AuthorizedSender ──▶ JudgingSender ──▶ Sender
            (oauth2)             (ok_if, retry_after)

A target without these settings is sent to by its `Sender` itself.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from relay.delivery.answer import Judge
from relay.delivery.answer_rules import AnswerRules
from relay.delivery.authorized import AuthorizedSender, Tokens
from relay.delivery.send import Sender, Sends
from relay.delivery.tasks import Tasks
from relay.http.client import Client
from relay.http.request import Request
from relay.model import Outcome, Target
from relay.signals import Emit


class SenderChain:
    """Before one sender. The token is kept for as long as the settings are the same. Lives in one event loop."""

    def __init__(
        self,
        sender: Sender,
        *,
        emit: Emit,
        tasks: Tasks,
        clock: Callable[[], datetime],
        new_client: Callable[[], Client],
    ) -> None:
        self._sender = sender
        self._emit = emit
        self._tasks = tasks
        self._clock = clock
        self._new_client = new_client
        self._tokens: Tokens | None = None

    def of(self, target: Target) -> Sends:
        """What sends to this target from now on."""
        sends: Sends = self._sender
        if target.ok_if or target.retry_after:
            sends = JudgingSender(sends, AnswerRules(target))
        self._tokens = self._tokens_of(target)
        return AuthorizedSender(sends, self._tokens, target, clock=self._clock) if self._tokens else sends

    def _tokens_of(self, target: Target) -> Tokens | None:
        if target.oauth2 is None:
            return None
        if self._tokens and self._tokens.serve(target):
            return self._tokens
        return Tokens(
            target,
            target.oauth2,
            emit=self._emit,
            start=self._tasks.start_subordinate,
            new_sender=lambda: Sender(clock=self._clock, new_client=self._new_client),
        )


class JudgingSender:
    """Sends with a judge of the answers."""

    def __init__(self, sender: Sends, judge: Judge) -> None:
        self._sender = sender
        self._judge = judge

    async def send(self, request: Request, **how: Any) -> Outcome:
        """See `Sender.send`."""
        return await self._sender.send(request, judge=self._judge, **how)
