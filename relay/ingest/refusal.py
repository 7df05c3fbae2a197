"""Why a webhook is turned away."""

from relay.signals import Refusal


class Refuse(Exception):
    """An answer, not a fault: what amoCRM is told, and why. See `signals.Refused` for `source` and `address`."""

    def __init__(self, status: int, refusal: Refusal, detail: str, *, source: str = "-", address: str = "") -> None:
        self.status = status
        self.refusal = refusal
        self.detail = detail
        self.source = source
        self.address = address
