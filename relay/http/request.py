"""The request that `client` sends. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST, ready to be sent; names of headers are in lower case. `url` and the target's own headers are secret.

    `secrets` are what may be secret in them, longest first: nobody is to read it in an answer that repeats it.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())
