"""An error <-> the type of its problem (RFC 9457), which a command from afar reads: BadCursor <-> `bad-cursor`."""

from relay.errors import (
    AccountError,
    BadCursor,
    ConfigurationError,
    ConflictError,
    CorruptError,
    NotAllowed,
    NotFoundError,
    RelayError,
    RoutesInvalid,
    StoreBusy,
    StoreError,
    UnreadableError,
)
from relay.operations.reading import Fault, InvalidParameters


class KeyReused(RelayError):
    """An `Idempotency-Key` was used for another act before."""


URN = "urn:amocrm-relay:problem:"

KINDS: dict[str, type[RelayError]] = {
    "invalid-parameters": InvalidParameters,
    "bad-cursor": BadCursor,
    "not-allowed": NotAllowed,
    "not-found": NotFoundError,
    "conflict": ConflictError,
    "routes-invalid": RoutesInvalid,
    "unreadable": UnreadableError,
    "not-configured": ConfigurationError,
    "account": AccountError,
    "store-busy": StoreBusy,
    "corrupt": CorruptError,
    "store": StoreError,
    "key-reused": KeyReused,
    "refused": RelayError,
}
"""The first kind that fits an error is its kind."""


def kind_of(error: RelayError) -> str:
    """The kind of an error: `not-found`."""
    return next(kind for kind, each in KINDS.items() if isinstance(error, each))


def error_of(type_: str, text: str) -> RelayError:
    """The error that a problem's `type` and `detail` stand for, with the same text."""
    found = KINDS.get(type_.removeprefix(URN), RelayError)
    if found is InvalidParameters:
        return InvalidParameters(Fault(pointer="", detail=text))
    return RelayError(text) if found is RoutesInvalid else found(text)
