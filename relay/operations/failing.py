"""What a target's last failed attempt returned -> how it fails: it answers with errors, does not answer, or gets none.

`5xx 503 busy` -> `answers with errors (503)`; `timeout` -> `does not answer (timeout)`.
"""

import re

from relay.model import Reason

UNANSWERED = frozenset({Reason.TIMEOUT, Reason.CONNECT, Reason.TLS, Reason.DISCONNECTED, Reason.PROTOCOL, Reason.PROXY})
UNSENT = frozenset({Reason.DENIED, Reason.REQUEST, Reason.TEMPLATE, Reason.CORRUPT, Reason.OAUTH2})

_ASKED = re.compile(r"asked by Retry-After to wait \d+ s: ")
_STATUS = re.compile(r"(?:(?:[345]xx|other) )?([1-9][0-9]{2})(?!\S)")


def how_it_fails(error: str) -> str:
    """Say it in words that hold nothing of an answer but its status; `fails` if the error says nothing of it."""
    text = _ASKED.sub("", error, count=1)
    reason = text.partition(" ")[0]
    if reason == Reason.ANSWER:
        return "answers that it failed"
    if status := _STATUS.match(text):
        return f"answers with errors ({status[1]})"
    if reason in UNANSWERED:
        return f"does not answer ({reason})"
    return f"cannot be sent to ({reason})" if reason in UNSENT else "fails"
