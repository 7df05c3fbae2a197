"""amoCRM's POST -> webhook, events and deliveries committed -> 200. The public listener's only endpoint.

A body with the right token is stored even if it cannot be read: amoCRM counts each 4xx as a failure, and after a
hundred of them it switches the webhook off. Rejected are bodies that are too large, incomplete, without room in memory,
or from an account that the source does not accept. An empty body that amoCRM did not send is answered as a probe.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

from aiohttp import hdrs, web
from multidict import CIMultiDict, MultiMapping, istr

from relay.errors import ConflictError, StoreError
from relay.http.forwarded import TrustedProxies
from relay.http.malformed import MalformedRequest
from relay.http.post import Post
from relay.http.response import Response
from relay.ingest import answers
from relay.ingest.answers import Reject
from relay.ingest.body import read_body
from relay.ingest.budget import OVERHEAD, Budget, BudgetExceeded
from relay.ingest.decode import Decoder
from relay.ingest.misaddressed import diagnose_address, source_and_token
from relay.ingest.pending import AwaitedWebhook, PendingWebhook
from relay.model import Source, Webhook
from relay.model.trace import parse_traceparent
from relay.routes.config import Config
from relay.signals import DuplicateReceived, Emit, Probed, Rejection, WebhookRejected, WebhookStored
from relay.store.records import Duplicate, KeepResult

REQUEST_ID = istr("X-Amocrm-Requestid")
SIGNATURE = istr("X-Signature")
TRACEPARENT = istr("traceparent")
FORM = "application/x-www-form-urlencoded"
MAX_REQUEST_ID = 100  # characters
MILLISECOND = 0.001  # seconds
AMOCRM = ("amocrm", "kommo")  # in its user agents: amoCRM-Webhooks/3.0, amoCRM-WebHook-client/2.0
NOT_POST = "not a POST: a redirect in front (301, 302) makes a GET of it, so name the final address or answer 308"


class Intake:
    """Receives webhooks by the configuration that `config()` returns at that moment.

    A body must arrive within `body_timeout` seconds and find room in `budget`.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        config: Callable[[], Config],
        emit: Emit,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_body: int,
        body_timeout: float,
        budget: Budget,
        proxies: TrustedProxies,
    ) -> None:
        self._decoder = decoder
        self._config = config
        self._emit = emit
        self._clock = clock
        self._new_id = new_id
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._budget = budget
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._received_at, self._read_at = clock(), -MILLISECOND

    async def answer(self, request: web.BaseRequest) -> Response:
        """Answer a webhook, or whatever else came to the public listener."""
        start = perf_counter()
        path = request.rel_url.parts
        try:
            if len(path) == 4 and path[1] == "hooks" and path[2] and path[3] and request.method == "POST":
                return await self._receive_request(request, path[2], path[3], start)
            return await self._receive_request(request, *self._parse_address(request), start)
        except Reject as reject:
            took = timedelta(seconds=perf_counter() - start)
            self._announce_rejected(reject, remote=self._remote(request), took=took)
            return answers.rejected(reject)

    def reject_malformed(self, seen: MalformedRequest, remote: str) -> None:
        """Announce bytes that were no request; the listener has answered them."""
        if seen.other_protocol:
            reject = Reject(seen.status, Rejection.MISADDRESSED, seen.problem)
        else:
            reject = diagnose_address(seen.method, seen.path, self._config(), problem=seen.problem)
        self._announce_rejected(reject, remote=self._proxies.client(remote), took=timedelta())

    # ---- address -> body -> pending webhook -> answer

    def _parse_address(self, request: web.BaseRequest) -> tuple[str, str]:
        """Return source and token of an unusual address: one with slashes too many, or a Reject."""
        found, path = source_and_token(request.rel_url.parts), request.rel_url.raw_path
        if found is None:
            raise diagnose_address(request.method, path, self._config())
        if request.method != "POST":
            raise diagnose_address(request.method, path, self._config(), problem=NOT_POST, status=405)
        return found

    async def _receive_request(self, request: web.BaseRequest, name: str, token: str, start: float) -> Response:
        source = _authorize(self._config(), name, token)
        try:
            with self._budget.reservation() as reservation:
                body = await read_body(request, reservation, limit=self._max_body, timeout=self._body_timeout)
                if not body and not _is_amocrm(request):
                    self._emit(Probed(source=source.name, remote=self._remote(request)))
                    return answers.probed()
                query = request.rel_url.raw_query_string
                webhook = self._webhook(source, request.headers, query, body)
                stored = self._loop.create_future()
                pending = AwaitedWebhook(webhook=webhook, source=source, reservation=reservation, stored=stored)
                result = await self._decoder.store(pending)
        except (Reject, BudgetExceeded, StoreError) as error:
            # the frames hold the request, and `pending` the error for as long as the store is busy
            raise _as_reject(error.with_traceback(None), source) from None
        return self._announce(pending, result, took=timedelta(seconds=perf_counter() - start))

    def _webhook(self, source: Source, headers: MultiMapping[str], query: str, body: bytes) -> Webhook:
        content_type = headers.get(hdrs.CONTENT_TYPE, "")
        request_id, signature = headers.get(REQUEST_ID, ""), headers.get(SIGNATURE, "")
        if not (content_type.isascii() and request_id.isascii() and signature.isascii()):
            content_type, request_id, signature = _text(content_type), _text(request_id), _text(signature)
        return Webhook(
            id=self._new_id(),
            source=source.name,
            received_at=self._now(),
            body=body,
            content_type=content_type,
            request_id=request_id[:MAX_REQUEST_ID],
            query=query,
            signature=signature,
            traceparent=_traceparent(headers) if TRACEPARENT in headers else "",
        )

    def _now(self) -> datetime:
        """Return the time in milliseconds, as the store keeps it; read the clock once in each."""
        at = perf_counter()
        if at - self._read_at >= MILLISECOND:
            now = self._clock()
            self._received_at, self._read_at = now - timedelta(0, 0, now.microsecond % 1000), at
        return self._received_at

    async def receive_sample(self, source: Source, body: bytes) -> str:
        """Store a webhook of our own making, as if it had been posted to this source; return its id.

        Of one that repeats another, the other's. ConflictError if it is not stored.
        """
        start = perf_counter()
        try:
            with self._budget.reservation() as reservation:
                reservation.grow(OVERHEAD + len(body))
                webhook = self._webhook(source, CIMultiDict({hdrs.CONTENT_TYPE: FORM}), "", body)
                stored = self._loop.create_future()
                pending = AwaitedWebhook(webhook=webhook, source=source, reservation=reservation, stored=stored)
                result = await self._decoder.store(pending)
        except (Reject, BudgetExceeded, StoreError) as error:
            raise ConflictError(f"the sample was not stored: {_as_reject(error, source).detail}") from error
        self._announce(pending, result, took=timedelta(seconds=perf_counter() - start))
        return result.webhook if isinstance(result, Duplicate) else webhook.id

    # ---- the same for a complete post

    def receive(self, post: Post) -> bool:
        """Take a post to the address of a source, and answer it once it is stored; False: `answer` serves it."""
        start = perf_counter()
        path, _, query = post.address.partition("?")
        source, size = self._config().source_at(path), len(post.body)
        if source is None or size > self._max_body or "#" in query:
            return False
        reservation = self._budget.reservation()
        try:
            reservation.grow(OVERHEAD + size)
        except BudgetExceeded:
            return False
        try:
            webhook = self._webhook(source, post.headers, query, post.body)
        except Exception:
            reservation.release()
            raise
        self._decoder.submit(
            _PostedWebhook(
                webhook=webhook, source=source, reservation=reservation, post=post, start=start, respond=self._respond
            )
        )
        return True

    def _respond(self, posted: "_PostedWebhook", post: Post, result: KeepResult | Exception) -> None:
        took = timedelta(seconds=perf_counter() - posted.start)
        try:
            if isinstance(result, Exception):
                reject = _as_reject(result, posted.source)
                self._announce_rejected(reject, remote=self._proxies.client(post.remote, post.headers), took=took)
                response = answers.rejected(reject)
            else:
                response = self._announce(posted, result, took=took)
        except Exception as fault:  # noqa: BLE001  a fault of ours over one webhook: 500
            post.fail(fault)
            return
        post.respond(response)

    # ---- announcements

    def _announce(self, pending: PendingWebhook, result: KeepResult, *, took: timedelta) -> Response:
        webhook, routed = pending.webhook, pending.routed
        commit = perf_counter() - pending.commit_began
        if isinstance(result, Duplicate):
            self._emit(
                DuplicateReceived(webhook=webhook, first=result.webhook, took=took, routed=routed, commit=commit)
            )
            return answers.duplicate(result)
        deliveries = 0
        for each in routed:
            deliveries += len(each.planned)
        self._emit(WebhookStored(webhook=webhook, routed=routed, deliveries=deliveries, took=took, commit=commit))
        return answers.stored(webhook, len(routed) if webhook.unparsed is None else 0, deliveries)

    def _announce_rejected(self, reject: Reject, *, remote: str, took: timedelta) -> None:
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

    def _remote(self, request: web.BaseRequest) -> str:
        return self._proxies.client(request.remote, request.headers)


@dataclass(slots=True, eq=False, kw_only=True)
class _PostedWebhook(PendingWebhook):
    """The webhook of a post, answered in the turn in which its result is known.

    Then it drops the post, which holds headers and connection: the budget does not count them, and after a 503 the
    webhook may wait for the store for long.
    """

    post: Post | None
    start: float
    respond: Callable[["_PostedWebhook", Post, KeepResult | Exception], None]

    def conclude(self, result: KeepResult | Exception) -> None:
        if post := self.post:
            self.post, self.answered = None, True
            self.respond(self, post, result)


def _authorize(config: Config, name: str, token: str) -> Source:
    """Return the source if the token is one of its own, else raise Reject; constant time, see `Config.source_at`."""
    source = config.source_at(f"/hooks/{name}/{token}")
    if source is None:
        raise Reject(404, Rejection.UNAUTHORIZED, "no such source, or a wrong token")
    return source


def _as_reject(error: Exception, source: Source) -> Reject:
    """Return why a webhook of this source was not stored; raises a fault of ours."""
    match error:
        case Reject():
            error.source = source.name
            return error
        case BudgetExceeded():
            detail = "too many webhooks, or too large ones, at once"
        case StoreError():
            detail = str(error)
        case _:
            raise error
    return Reject(503, Rejection.UNAVAILABLE, detail, source=source.name)


def _is_amocrm(request: web.BaseRequest) -> bool:
    """Whether amoCRM sent it. amoCRM never sends an empty body: something on the way has stripped it."""
    agent = request.headers.get(hdrs.USER_AGENT, "").lower()
    return REQUEST_ID in request.headers or any(name in agent for name in AMOCRM)


def _traceparent(headers: MultiMapping[str]) -> str:
    """Return the traceparent; empty for an invalid one or more than one."""
    found = headers.getall(TRACEPARENT)
    return parse_traceparent(found[0]) if len(found) == 1 else ""


def _text(header: str) -> str:
    """Return a header as text that UTF-8 can encode, whatever bytes it came with."""
    return header.encode(errors="surrogateescape").decode(errors="replace")
