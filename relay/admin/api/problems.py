"""Errors -> application/problem+json (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay.admin import faults
from relay.errors import RelayError, RoutesInvalid
from relay.operations.documents.encoding import encode
from relay.operations.problem_types import URN, kind_of
from relay.operations.reading import InvalidParameters

CONTENT_TYPE = "application/problem+json"

STATUSES = {
    "invalid-parameters": 400,
    "bad-cursor": 400,
    "not-allowed": 403,
    "not-found": 404,
    "conflict": 409,
    "routes-invalid": 422,
    "unreadable": 422,
    "not-configured": 422,
    "account": 502,
    "store-busy": 503,
    "corrupt": 500,
    "store": 503,
    "key-reused": 422,
    "refused": 422,
}

OF_STATUS = {
    400: "invalid-parameters",
    401: "unauthorized",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    421: "misdirected",
    422: "refused",
    429: "locked-out",
    503: "store-busy",
}
"""The kind of an answer that no error stands behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemError:
    """One fault: where in the parameters (RFC 6901), or at which line and column of a routes file."""

    pointer: str
    detail: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What every answer but a success is (RFC 9457). `type` ends with the kind, see docs/api.md."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[ProblemError, ...] = ()


def problem_of(error: RelayError, instance: str) -> Problem:
    """The problem that an error is."""
    kind = kind_of(error)
    return _problem(kind, STATUSES[kind], str(error), instance, _errors(error))


def _errors(error: RelayError) -> Sequence[ProblemError]:
    match error:
        case InvalidParameters():
            return [ProblemError(pointer=each.pointer, detail=each.detail) for each in error.faults]
        case RoutesInvalid():
            return [
                ProblemError(pointer=_pointer(each.path), detail=each.message, line=each.line, column=each.column)
                for each in error.problems
            ]
        case _:
            return []


def _pointer(path: str) -> str:
    """`routes[2].to` -> `/routes/2/to`."""
    return "/" + path.replace(".", "/").replace("[", "/").replace("]", "") if path else ""


def _problem(kind: str, status: int, detail: str, instance: str, errors: Sequence[ProblemError] = ()) -> Problem:
    title = kind.replace("-", " ").capitalize()
    return Problem(
        type=f"{URN}{kind}", title=title, status=status, detail=detail, instance=instance, errors=tuple(errors)
    )


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer; 503 says when to try again."""
    said: dict[str, str] = {hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-store"}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        said[hdrs.RETRY_AFTER] = "1"
    return web.Response(
        body=encode(asdict(problem)),
        status=problem.status,
        headers={**said, **(headers or {})},
    )


def answer_with_problems(prefix: str) -> Middleware:
    """Turn whatever goes wrong into a problem; refusals, those of other middlewares too, only below `prefix`."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RelayError as error:
            return response(problem_of(error, request.path))
        except web.HTTPException as answer:
            if answer.status < HTTPStatus.BAD_REQUEST or not request.path.startswith(prefix):
                raise
            kept = {name: value for name, value in answer.headers.items() if name in _KEPT}
            kind = OF_STATUS.get(answer.status, "refused")
            return response(_problem(kind, answer.status, _said(answer), request.path), kept)
        except Exception as error:
            if faults.is_too_late(request):
                raise
            detail = f"a fault of the relay: its log has it as request {faults.id_of(request, error)}"
            return response(_problem(faults.KIND, faults.STATUS, detail, request.path))

    return check


_KEPT = (hdrs.ALLOW, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE)


def _said(answer: web.HTTPException) -> str:
    return (answer.text or answer.reason).strip()
