"""POST /verify, `relay verify`: a store, in use or not -> what is corrupt or missing; an operator accepts a loss."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

import msgspec
import orjson
from msgspec import Meta
from uuid_utils import uuid7

from relay.errors import ConflictError, RelayError, StoreError
from relay.operations import audit
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.encoding import encode
from relay.operations.documents.verified import VerifiedDocument, verified_document
from relay.operations.problem_types import error_of, kind_of
from relay.store import open as stores
from relay.store.contract import OperationsStore
from relay.store.open import StoreUrl
from relay.store.records import AuditEntry

COMMAND = "verify --accept-loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """`accept_loss`: report what is missing no more, before looking."""

    accept_loss: Annotated[bool, Meta(description="Accept what is missing: report it no more.")] = False


def verify(store: StoreUrl) -> VerifiedDocument:
    """Check the file's structure and every checksum, and look for webhooks that were acknowledged and are missing."""
    return verified_document(stores.verify(store))


async def accept_loss(store: OperationsStore, *, by: str, now: datetime) -> int:
    """Report what is missing no more; how many webhooks that is at most."""
    return await store.accept_losses(audit.entry(COMMAND, {}, by=by, now=now))


async def verified(desk: Desk, asked: Verify) -> VerifiedDocument:
    """Have a process beside the relay look at its store; it ends with this call."""
    if desk.verify is None:
        raise ConflictError("no relay runs here that could verify its store: relay verify does")
    accepted = await desk.store.accept_losses(desk.act(COMMAND, {})) if asked.accept_loss else 0
    found = replace(read_answer(await desk.verify()), accepted=accepted)
    try:
        await desk.store.record_audit(_entry(desk, found, own=not accepted), sum(_faults(found).values()))
    except StoreError as error:  # a store that is not sound may keep nothing
        return replace(found, notes=(*found.notes, f"not in the audit: {error}"))
    return found


def _entry(desk: Desk, found: VerifiedDocument, *, own: bool) -> AuditEntry:
    """Whether it is sound, and what is not; the act that accepts a loss has an entry of its own already."""
    act = desk.act("verify", {"sound": found.sound} | _faults(found))
    return act if own else replace(act, id=str(uuid7()))


def _faults(found: VerifiedDocument) -> dict[str, int]:
    """How many there are, by kind."""
    counts = {
        "structure": len(found.structure),
        "corrupt": len(found.webhooks.corrupt) + len(found.events.corrupt),
        "missing": sum(each.at_most for each in found.losses),
    }
    return {kind: count for kind, count in counts.items() if count}


# ---- from one process to another


def answer(store: StoreUrl) -> bytes:
    """The document of `verify` as JSON, or its error."""
    try:
        return encode(verify(store))
    except RelayError as error:
        return orjson.dumps({"error": kind_of(error), "text": str(error)})


def read_answer(found: bytes) -> VerifiedDocument:
    """The document; raises the error."""
    match orjson.loads(found):
        case {"error": kind, "text": text}:
            raise error_of(kind, text)
        case document:
            return msgspec.convert(document, VerifiedDocument)


VERIFY = Operation(
    name="verify",
    method="POST",
    path="/verify",
    role=Role.OPERATOR,
    parameters=Verify,
    document=VerifiedDocument,
    run=verified,
    summary="Look for what is corrupt or missing in the store.",
    long=True,
    alone=True,
)
