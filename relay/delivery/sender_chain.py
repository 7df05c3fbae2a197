"""Target -> what sends its requests: the sender, and before it what its settings ask for.

attempt ──▶ AuthorizedSender ──▶ Sender
            (oauth2)

A target without these settings is sent to by its `Sender` itself.
"""

from collections.abc import Callable
from datetime import datetime

from relay.delivery.authorized import AuthorizedSender, Tokens
from relay.delivery.send import Sender, Sends
from relay.delivery.tasks import Tasks
from relay.http.client import Client
from relay.model import Target
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
            start=self._tasks.start,
            new_sender=lambda: Sender(clock=self._clock, new_client=self._new_client),
        )
