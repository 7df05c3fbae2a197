"""Requests that were meant for us at a wrong address -> how many, and the last one, for `relay status`."""

from collections.abc import Callable
from datetime import datetime

from relay.model import Json
from relay.rfc3339 import rfc3339
from relay.signals import Rejection, WebhookRejected

MISADDRESSED = "misaddressed"  # the report's name in the store


class Misaddressed:
    """Counts them since the relay was started."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._since = clock()
        self._count = 0
        self._last: tuple[datetime, WebhookRejected] | None = None

    def hear(self, refused: WebhookRejected) -> None:
        """Count it if it is one."""
        if refused.reason is Rejection.MISADDRESSED:
            self._count += 1
            self._last = self._clock(), refused

    def report(self) -> Json:
        """None until there is one: what the relay before reported is as good till then."""
        if self._last is None:
            return None
        at, refused = self._last
        return {
            "count": self._count,
            "since": rfc3339(self._since),
            "last_at": rfc3339(at),
            "address": refused.address,
            "detail": refused.detail,
        }
