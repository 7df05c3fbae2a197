"""`ok_if` and `retry_after` of a target, and an answer -> what they make of it. Pure.

`ok_if` decides on an answer whose status would mean delivered: what cannot be read or judged is retried. `retry_after`
only says how long to wait before a retry that the status, or `ok_if`, has decided.
"""

import math
import re
from datetime import timedelta
from decimal import Decimal

from relay.delivery.answer import BODY_TIMEOUT, Answer, Judgement
from relay.delivery.retry import LONGEST_RETRY_AFTER
from relay.errors import TemplateFailed
from relay.model import Json, Reason, Target
from relay.model.templates import Expression, answer_context

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class AnswerRules:
    """Those of one target. A `Judge`."""

    def __init__(self, target: Target) -> None:
        self._ok_if = target.ok_if
        self._retry_after = target.retry_after
        self._ok_on = target.ok_on
        self._dead_on = target.dead_on

    def patience(self, status: int) -> float | None:
        """For `ok_if`, if it reads the body, as long as the attempt may take; for `retry_after` as for any body."""
        if self._accepts(status):
            if self._ok_if is None:
                return None
            return math.inf if _reads_body(self._ok_if) else BODY_TIMEOUT
        return None if self._retry_after is None or status in self._dead_on else BODY_TIMEOUT

    def judge(self, answer: Answer) -> Judgement:
        """Reason ANSWER for what `ok_if` rejects, or cannot judge; the pause, for what is retried."""
        if not self._accepts(answer.status):
            return Judgement(retry_after=self._pause(answer))
        if why := self._rejects(answer):
            return Judgement(reason=Reason.ANSWER, why=why, retry_after=self._pause(answer))
        return Judgement()

    def _accepts(self, status: int) -> bool:
        return 200 <= status <= 299 or status in self._ok_on

    def _rejects(self, answer: Answer) -> str:
        """Why `ok_if` does not hold; empty if it does."""
        if self._ok_if is None:
            return ""
        try:
            return "" if _value(self._ok_if, answer) else "ok_if does not hold"
        except (ValueError, TemplateFailed) as error:
            return f"ok_if cannot judge it: {error}"

    def _pause(self, answer: Answer) -> timedelta | None:
        if self._retry_after is None:
            return None
        try:
            return pause_of(_value(self._retry_after, answer))
        except (ValueError, TemplateFailed):
            return None


def pause_of(value: Json) -> timedelta | None:
    """Seconds, a number or its text, above 0 -> the pause, at most a day; None for all else."""
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not value > 0:
        return None
    return timedelta(seconds=float(min(value, LONGEST_RETRY_AFTER.total_seconds())))


def _reads_body(expression: Expression) -> bool:
    return any(path.partition(".")[0] == "answer" for path in expression.fields)


def _value(expression: Expression, answer: Answer) -> Json:
    """ValueError if it needs a body that cannot be read."""
    document = answer.json() if _reads_body(expression) else None
    return expression.evaluate(answer_context(answer.status, answer.headers, document))
