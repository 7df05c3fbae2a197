"""amoCRM's limits: 7 requests a second, then 429, then a block that only support lifts."""

from collections import deque

from tests.fakeamo.documents import hal, page_of_nginx
from tests.fakeamo.values import FakeAnswer


class Limiter:
    def __init__(self, *, most: int = 7, borne: int = 20, as_json: bool = False) -> None:
        self.most = most
        self.borne = borne
        """Answers 429 of a minute, after which every call is answered 403."""
        self.as_json = as_json
        self.blocked = False
        self.peak = 0
        """Most requests of any second, by the double's own count."""
        self.requests = 0
        self.after_block = 0
        """Requests that came though the account was blocked."""
        self._second: deque[float] = deque()
        self._refused: deque[float] = deque()

    def check(self, now: float) -> FakeAnswer | None:
        """The answer of a request that is too much."""
        self.requests += 1
        if self.blocked:
            self.after_block += 1
            return page_of_nginx(403)
        forget(self._second, now - 1)
        self._second.append(now)
        self.peak = max(self.peak, len(self._second))
        return self._refuse(now) if len(self._second) > self.most else None

    def unblock(self) -> None:
        """What amoCRM's support does."""
        self.blocked = False
        self._refused.clear()

    def _refuse(self, now: float) -> FakeAnswer:
        forget(self._refused, now - 60)
        self._refused.append(now)
        if len(self._refused) > self.borne:
            self.blocked = True
        return (
            hal({"status": 429, "title": "Too Many Requests", "retry_after": 300}, 429)
            if self.as_json
            else page_of_nginx(429)
        )


def forget(times: deque[float], until: float) -> None:
    while times and times[0] <= until:
        times.popleft()
