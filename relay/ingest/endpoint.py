"""The public listener: amoCRM's POST -> webhook, events and deliveries on disk -> 200.

A body with the right token is kept whatever is in it: amoCRM counts a 4xx against us, and after a hundred of them it
stops sending.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, islice, repeat
from secrets import token_hex
from time import perf_counter

from aiohttp import hdrs, web
from multidict import istr

from relay.errors import StoreError
from relay.http.forwarded import TrustedProxies
from relay.http.malformed import MalformedRequest
from relay.http.response import Response
from relay.ingest import answers
from relay.ingest.address import judge, source_and_token
from relay.ingest.answers import Reject
from relay.ingest.body import Incomplete, TooLarge, read_body
from relay.ingest.budget import Budget, Full, Reservation
from relay.ingest.commit import Taken
from relay.ingest.decode import Arrived, Decoder
from relay.model import Secret, Source
from relay.routes.config import Config
from relay.signals import DuplicateReceived, Emit, Probed, Rejection, WebhookRejected, WebhookStored
from relay.store.contract import Duplicate

REQUEST_ID = istr("X-Amocrm-Requestid")
SIGNATURE = istr("X-Signature")
MAX_REQUEST_ID = 100
AMOCRM = ("amocrm", "kommo")  # in its user agents: amoCRM-Webhooks/3.0, amoCRM-WebHook-client/2.0
NOT_POST = "not a POST: a redirect in front (301, 302) makes a GET of it, so name the final address or answer 308"

_NOT_A_TOKEN = Secret(token_hex())
_NO_SUCH_SOURCE = Source(name="-", tokens=())


class Intake:
    """Takes webhooks by the configuration that `config()` returns at that moment.

    A body has `body_timeout` seconds to arrive, and must find room in `memory`.
    """

    def __init__(
        self,
        arrivals: Decoder,
        *,
        config: Callable[[], Config],
        emit: Emit,
        max_body: int,
        body_timeout: float,
        memory: Budget,
        proxies: TrustedProxies,
    ) -> None:
        self._arrivals = arrivals
        self._config = config
        self._emit = emit
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._memory = memory
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()

    async def answer(self, request: web.BaseRequest) -> Response:
        """To a webhook, or to whatever else it is."""
        start = perf_counter()
        path = request.rel_url.parts
        try:
            if len(path) == 4 and path[1] == "hooks" and path[2] and path[3] and request.method == "POST":
                return await self._take(request, path[2], path[3], start)
            return await self._take(request, *self._read_address(request), start)
        except Reject as reject:
            took = timedelta(seconds=perf_counter() - start)
            self._announce(reject, remote=self._remote(request), took=took)
            return answers.rejected(reject)

    def reject_malformed(self, seen: MalformedRequest, remote: str) -> None:
        """Announce what came in the place of a request, and was answered already."""
        if seen.other_protocol:
            reject = Reject(seen.status, Rejection.MISADDRESSED, seen.problem)
        else:
            reject = judge(seen.method, seen.path, self._config(), wrong=seen.problem)
        self._announce(reject, remote=self._proxies.client(remote), took=timedelta())

    def _announce(self, reject: Reject, *, remote: str, took: timedelta) -> None:
        self._emit(
            WebhookRejected(
                source=reject.source,
                reason=reject.reason,
                detail=reject.detail,
                remote=remote,
                took=took,
                address=reject.address,
            )
        )

    def _read_address(self, request: web.BaseRequest) -> tuple[str, str]:
        """Source and token of an address that is not quite as it should be."""
        found, path = source_and_token(request.rel_url.parts), request.rel_url.raw_path
        if found is None:
            raise judge(request.method, path, self._config())
        if request.method != "POST":
            raise judge(request.method, path, self._config(), wrong=NOT_POST, status=405)
        return found

    def _remote(self, request: web.BaseRequest) -> str:
        return self._proxies.client(request.remote, request.headers)

    async def _take(self, request: web.BaseRequest, name: str, token: str, start: float) -> Response:
        source = _authorized(self._config(), name, token)
        try:
            with self._memory.place() as place:
                body = await self._body(request, source, place)
                if not body and not _of_amocrm(request):
                    self._emit(Probed(source=source.name, remote=self._remote(request)))
                    return answers.probed()
                webhook, routed, kept = await self._kept(request, source, body, place)
        except Full:
            detail = "too many webhooks, or too large ones, at once"
            raise Reject(503, Rejection.UNAVAILABLE, detail, source=source.name) from None
        except StoreError as error:
            raise Reject(503, Rejection.UNAVAILABLE, str(error), source=source.name) from None
        took = timedelta(seconds=perf_counter() - start)
        if isinstance(kept, Duplicate):
            self._emit(DuplicateReceived(webhook=webhook, first=kept.webhook, took=took, routed=routed))
            return answers.duplicate(kept)
        deliveries = sum([len(each.planned) for each in routed])
        self._emit(WebhookStored(webhook=webhook, routed=routed, deliveries=deliveries, took=took))
        return answers.stored(webhook, len(routed) if webhook.unparsed is None else 0, deliveries)

    async def _kept(self, request: web.BaseRequest, source: Source, body: bytes, place: Reservation) -> Taken:
        arrived = Arrived(
            source=source,
            body=body,
            content_type=_text(request.headers.get(hdrs.CONTENT_TYPE, "")),
            request_id=_text(request.headers.get(REQUEST_ID, ""))[:MAX_REQUEST_ID],
            query=request.rel_url.raw_query_string,
            signature=_text(request.headers.get(SIGNATURE, "")),
            place=place,
            taken=self._loop.create_future(),
        )
        return await self._arrivals.take(arrived)

    async def _body(self, request: web.BaseRequest, source: Source, place: Reservation) -> bytes:
        try:
            return await read_body(request, place, most=self._max_body, within=self._body_timeout)
        except TooLarge:
            detail = f"the body is larger than --max-body, {self._max_body} bytes"
            raise Reject(413, Rejection.TOO_LARGE, detail, source=source.name) from None
        except Incomplete as error:
            raise Reject(408, Rejection.INCOMPLETE, str(error), source=source.name) from None


def _authorized(config: Config, name: str, token: str) -> Source:
    """The source, if it is one and the token is one of its own.

    Known or not, and however many tokens it has, this takes the same time: as many are compared for every source.
    """
    source = config.sources.get(name, _NO_SUCH_SOURCE)
    right = [secret.matches(token) for secret in islice(chain(source.tokens, repeat(_NOT_A_TOKEN)), config.most_tokens)]
    if source is _NO_SUCH_SOURCE or not any(right):
        raise Reject(404, Rejection.UNAUTHORIZED, "no such source, or a wrong token")
    return source


def _of_amocrm(request: web.BaseRequest) -> bool:
    """An empty body of amoCRM's own is none of its webhooks: something on the way strips them."""
    agent = request.headers.get(hdrs.USER_AGENT, "").lower()
    return REQUEST_ID in request.headers or any(name in agent for name in AMOCRM)


def _text(header: str) -> str:
    """A header as text that can be kept, whatever bytes it is of."""
    return header if header.isascii() else header.encode(errors="surrogateescape").decode(errors="replace")
