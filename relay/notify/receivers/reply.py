"""What a receiver answered, and what follows. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from relay.model import Outcome, Reason


class Result(StrEnum):
    """`SENT`; `RETRY`: to be sent again; `REFUSED`: it would be refused again, so it is given up."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`detail`: what it answered, for operators, without secrets. `asked`: the pause that it asked for."""

    result: Result
    detail: str
    took: timedelta = timedelta()
    asked: timedelta | None = None


_AGAIN = frozenset({408, 425, 429})
_NEVER = frozenset({Reason.REQUEST, Reason.DENIED})


def of_outcome(outcome: Outcome) -> Reply:
    """What follows a request: another one unless a status, or the request itself, says that it is of no use."""
    detail = " ".join(f"{outcome.status or outcome.reason} {outcome.detail}".split())
    return Reply(result=_result(outcome), detail=detail, took=outcome.took, asked=outcome.retry_after)


def _result(outcome: Outcome) -> Result:
    if outcome.reason is Reason.OK:
        return Result.SENT
    if outcome.reason in _NEVER:
        return Result.REFUSED
    again = outcome.status is None or outcome.status >= 500 or outcome.status in _AGAIN
    return Result.RETRY if again or outcome.reason is Reason.ANSWER else Result.REFUSED
