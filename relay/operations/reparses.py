"""POST /reparse, `relay reparse`: unparsed webhooks -> what the code and the routes of today make of them."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.amocrm import form
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.replays import ReparsedDocument, ReparseDocument
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.reparse import Reparsed, reparse
from relay.routes.diagnostics import quoted, suggestion

MAX_SHOWN = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reparse:
    """`ids` or starts of ids; all unparsed webhooks if there are none."""

    ids: tuple[str, ...] = ()
    charset: Annotated[str | None, Meta(description="Read the bodies in this charset, cp1251 for example.")] = None
    dry_run: Annotated[bool, Meta(description="Only say what would become of each.")] = False


async def reparses(desk: Desk, asked: Reparse) -> ReparseDocument:
    """Read unparsed webhooks again; ConflictError for one that is not unparsed."""
    if asked.charset is not None and asked.charset.lower() not in form.CHARSETS:
        detail = f"no charset {quoted(asked.charset)} {suggestion(asked.charset, form.CHARSETS)}"
        raise InvalidParameters(Fault(pointer="/charset", detail=detail))
    read, left, shown = 0, 0, list[ReparsedDocument]()
    async for each in reparse(
        desk.store, asked.ids, desk.config(), charset=asked.charset, by=desk.asker.name, now=desk.now(),
        dry_run=asked.dry_run, act_id=desk.act_id,
    ):  # fmt: skip
        read, left = (read + 1, left) if each.unparsed is None else (read, left + 1)
        if len(shown) < MAX_SHOWN:
            shown.append(_document(each))
    return ReparseDocument(dry_run=asked.dry_run, read=read, left=left, webhooks=tuple(shown))


def _document(reparsed: Reparsed) -> ReparsedDocument:
    return ReparsedDocument(
        webhook=reparsed.webhook.id,
        events=len(reparsed.routed),
        deliveries=sum(len(each.planned) for each in reparsed.routed),
        unparsed=reparsed.unparsed,
    )


REPARSE = Operation(
    name="reparse",
    method="POST",
    path="/reparse",
    role=Role.OPERATOR,
    parameters=Reparse,
    document=ReparseDocument,
    run=reparses,
    summary="Read unparsed webhooks again, with the code and the routes of today.",
    long=True,
)
