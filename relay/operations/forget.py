"""POST /forget, `relay forget`: a person's entity and id -> every copy erased, and a receipt that does not hold it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from relay.amocrm.traces import Finder
from relay.amocrm.vocabulary import ENTITIES, UNKNOWN
from relay.errors import ArchiveFailed, NotFoundError
from relay.model.erasure import Ref
from relay.operations import erasure
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.erasure import ForgetDocument, OtherDocument
from relay.operations.erasure import Erasure
from relay.routes.diagnostics import quoted, suggestion
from relay.store.erased_archive import erase_archive
from relay.store.erasure_plan import Scope, refs_of

WITHIN = 3600.0  # seconds that `now` waits for the relays and files that have a part in it
NO_ARCHIVE = "the archive, if there is one: the routes file that names it cannot be used here"

_ENTITIES = sorted(ENTITIES - {UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Whose data, by amoCRM's word and id. `also`: others of a listing, as `leads/5` or the id of an event or webhook.

    `source`: only webhooks of this one. `now`: have the files of the store hold nothing of it at once, and wait.
    """

    entity: str
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    also: tuple[str, ...] = ()
    source: str = ""
    dry_run: Annotated[bool, Meta(description="Only say what would be erased.")] = False
    now: bool = False


async def forget(desk: Desk, asked: Forget) -> ForgetDocument:
    """Erase a person's data in the store, in spools and in the archive.

    NotFoundError for a word that is no entity; ArchiveFailed, once all else is done, if the archive keeps some of it.
    """
    refs, ids = refs_of(asked.also)
    scope = Scope(refs=refs | {Ref(asked.entity, asked.id)}, ids=ids, source=asked.source)
    for each in sorted(scope.refs):
        _demand_entity(each.entity)
    details = {"who": [*map(str, sorted(scope.refs))], "ids": sorted(ids), "source": asked.source, "now": asked.now}
    act = desk.act("forget", details)
    done = await erasure.forget(desk.store, scope, act, dry_run=asked.dry_run)
    archived, failed = 0, None
    try:
        archived = await _erase_archive(desk, scope, done, dry_run=asked.dry_run)
    except ArchiveFailed as error:
        failed = error  # said once all else is done
    waits_for: Sequence[str] = ()
    if not asked.dry_run:
        waits_for = await erasure.complete(desk.store, act.id, within=WITHIN if asked.now else 0.0, rewrite=asked.now)
    if failed:
        raise failed
    if desk.config_or_none() is None:
        done = replace(done, out_of_reach=(*done.out_of_reach, NO_ARCHIVE))
    return _document(asked, scope, replace(done, waits_for=tuple(waits_for)), archived)


def _demand_entity(entity: str) -> None:
    if entity not in _ENTITIES:
        raise NotFoundError(f"no entity {quoted(entity)} {suggestion(entity, _ENTITIES)}")


async def _erase_archive(desk: Desk, scope: Scope, done: Erasure, *, dry_run: bool) -> int:
    """The archive of this machine, if the routes file names one."""
    config = desk.config_or_none()
    folder: Path | None = config.archive if config else None
    return await erase_archive(folder, scope, Finder(done.traces), dry_run=dry_run) if folder else 0


def _document(asked: Forget, scope: Scope, done: Erasure, archived: int) -> ForgetDocument:
    return ForgetDocument(
        act=done.act,
        dry_run=asked.dry_run,
        who=tuple(map(str, sorted(scope.refs))),
        events=dict(done.events),
        webhooks=done.webhooks,
        shared=done.shared,
        emptied=done.emptied,
        dead=done.dead,
        texts=dict(done.texts),
        archived=archived,
        others=tuple(
            OtherDocument(also=each.also, type=each.type, events=each.events, same=each.same) for each in done.others
        ),
        waits_for=done.waits_for,
        out_of_reach=done.out_of_reach,
    )


FORGET = Operation(
    name="forget",
    method="POST",
    path="/forget",
    role=Role.OPERATOR,
    parameters=Forget,
    document=ForgetDocument,
    run=forget,
    summary="Erase the data of a person.",
    long=True,
    whole=True,
)
