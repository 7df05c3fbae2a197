"""What all processes of one store share of an amoCRM account: its OAuth grant, and whether amoCRM blocks it.

A refresh token works once, so its user holds the record's lock from reading it until its successor is on disk.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from relay.errors import CorruptError
from relay.model import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Tokens of an OAuth integration. `generation` counts the refreshes; `obtained_at`, `expires_at`: of the access."""

    access: Secret
    refresh: Secret
    obtained_at: datetime
    expires_at: datetime
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """`blocked`: why amoCRM serves the account no more, until somebody has found that it does."""

    grant: Grant | None = None
    blocked: str | None = None


NOTHING = AccountRecord()


class HeldRecord(Protocol):
    """A record that nobody else writes meanwhile."""

    @property
    def record(self) -> AccountRecord:
        """What is stored."""

    async def write(self, record: AccountRecord) -> None:
        """Have it on disk on return; StoreBusy if that is not known."""


class AccountRecords(Protocol):
    """The records of one store, by the account's name. Safe over processes; each verb raises StoreBusy."""

    async def read(self, account: str) -> AccountRecord:
        """Return what is stored, without waiting for a writer."""

    def held(self, account: str) -> AbstractAsyncContextManager[HeldRecord]:
        """Wait until nobody holds it; hold it within the block. StoreBusy if that takes too long."""


def encode(record: AccountRecord) -> str:
    """As JSON. It holds tokens: for the store alone."""
    grant = record.grant
    tokens = {
        "access": grant.access.reveal(),
        "refresh": grant.refresh.reveal(),
        "obtained_at": grant.obtained_at.timestamp(),
        "expires_at": grant.expires_at.timestamp(),
        "generation": grant.generation,
    } if grant else None  # fmt: skip
    return json.dumps({"version": 1, "grant": tokens, "blocked": record.blocked})


def decode(text: str | bytes, where: str) -> AccountRecord:
    """Read what `encode` made; CorruptError, which names `where`, if it is not."""
    try:
        document = json.loads(text)
        return AccountRecord(grant=_grant(document["grant"]), blocked=document["blocked"])
    except (ValueError, KeyError, TypeError):
        advice = "remove it, then grant access again with relay account login"
        raise CorruptError(f"{where} cannot be read: {advice}") from None


def _grant(tokens: Mapping[str, str | float] | None) -> Grant | None:
    if tokens is None:
        return None
    return Grant(
        access=Secret(str(tokens["access"])),
        refresh=Secret(str(tokens["refresh"])),
        obtained_at=datetime.fromtimestamp(float(tokens["obtained_at"]), UTC),
        expires_at=datetime.fromtimestamp(float(tokens["expires_at"]), UTC),
        generation=int(tokens["generation"]),
    )
