"""An answer that is read as a whole, its JSON, and what a judge of it may change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import orjson

from relay.model import Json, Reason

MAX_BODY = 64 * 1024  # bytes of an answer that is read as a whole
BODY_TIMEOUT = 1.0  # seconds for a body that decides nothing: the status has decided the outcome already

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, its body as far as `MAX_BODY`. `flaw`: why the body is not whole, empty if it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    flaw: str = ""

    def json(self) -> Json:
        """Read the body; ValueError, with what is wrong, if it is not whole or no JSON in UTF-8 (RFC 8259 §8.1)."""
        if self.flaw:
            raise ValueError(self.flaw)
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise ValueError("its body is compressed, which was not asked for")
        try:
            return orjson.loads(self.body.removeprefix(_BOM))  # deeper than 1,024 levels it is none, too
        except orjson.JSONDecodeError:
            raise ValueError("its body is no JSON" if self.body.strip() else "its body is empty") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the judge changes: the `reason`, with why, or the pause before a retry."""

    reason: Reason | None = None
    why: str = ""
    retry_after: timedelta | None = None


class Judge(Protocol):
    """Looks at whole answers."""

    def patience(self, status: int) -> float | None:
        """For how many seconds to read the body, within the attempt's timeout; None: it is not looked at."""

    def judge(self, answer: Answer) -> Judgement:
        """Judge an answer whose body was read."""
