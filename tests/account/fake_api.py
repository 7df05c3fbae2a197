"""The double of amoCRM in this process, asked as a client asks it: same answers, same errors, no sockets."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson

from relay.account.answers import Answer, TooMany, read
from relay.account.limiter import Priority
from relay.errors import RateLimited
from relay.model import Json
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import VirtualClock
from tests.fakeamo.values import Ending

PACE = 0.25  # seconds between two requests, about as the client has it


class FakeApi:
    """`get`, `post` and `delete` of an `AccountClient`. `sent` has method and path of each request."""

    def __init__(self, amo: FakeAmo) -> None:
        self.amo = amo
        self.sent: list[str] = []

    async def get(
        self, path: str, params: Mapping[str, Json] | None = None, *, priority: Priority = Priority.HEAL
    ) -> Mapping[str, Json] | None:
        return self._ask("GET", f"{path}?{urlencode(params, doseq=True)}" if params else path)

    async def post(self, path: str, body: Json, *, priority: Priority = Priority.GUARD) -> Mapping[str, Json] | None:
        return self._ask("POST", path, orjson.dumps(body))

    async def delete(self, path: str, body: Json, *, priority: Priority = Priority.GUARD) -> Mapping[str, Json] | None:
        return self._ask("DELETE", path, orjson.dumps(body))

    def _ask(self, method: str, path: str, body: bytes = b"") -> Mapping[str, Json] | None:
        what = f"{method} {path.partition('?')[0]}"
        self.sent.append(what)
        if isinstance(self.amo.clock, VirtualClock):
            self.amo.clock.advance(PACE)
        answer = self.amo.request(method, path, None, body)
        if answer.ending is not Ending.WHOLE:
            return read(Answer(status=502), what)  # type: ignore[return-value]  # it raises
        headers = {name.lower(): value for name, value in answer.headers.items()}
        found = read(Answer(status=answer.status, headers=headers, body=answer.body), what)
        if isinstance(found, TooMany):
            raise RateLimited(f"{what}: answered 429")
        return found


def clock_of(amo: FakeAmo) -> datetime:
    """The double's time."""
    return datetime.fromtimestamp(amo.clock(), UTC)
