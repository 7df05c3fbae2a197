"""Why a webhook is turned away."""

from relay.signals import Refusal


class Refuse(Exception):
    """An answer, not a fault: what amoCRM is told, and why. `source` is `-` unless the token was right."""

    def __init__(self, status: int, refusal: Refusal, detail: str, *, source: str = "-") -> None:
        self.status = status
        self.refusal = refusal
        self.detail = detail
        self.source = source
