"""Acts that the API was asked for: each is run once for an `Idempotency-Key`, and goes on after the answer 202."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

import orjson
from uuid_utils import uuid7

from relay.admin.api.problems import problem_of
from relay.errors import ConflictError, NotFoundError, RelayError
from relay.model import Json
from relay.operations.desk import Operation
from relay.operations.documents.acts import ActDocument, ActState
from relay.operations.documents.encoding import encode
from relay.operations.problems import KeyReused
from relay.rfc3339 import rfc3339
from relay.store.records import AuditEntry, Report, Status

NAMESPACE = UUID("5d1f6a0e-6f0b-5c55-9d0c-0c6c3a2d7a11")
PATIENCE = 1.0  # seconds until the answer 202
MAX_KEPT = 1_000  # acts that ended; an older key begins a new act
MAX_INTERRUPTED = 50
REPORT = "acts"
"""The name under which acts are published that have begun and not ended: what a kill leaves of them."""


class Reports(Protocol):
    """What acts need of the store's questions."""

    @property
    def relay(self) -> str:
        """See `QuestionStore.relay`."""
        ...

    async def published(self, name: str) -> Sequence[Report]:
        """See `QuestionStore.published`."""
        ...


class ActStore(Protocol):
    """What acts need of the store."""

    @property
    def questions(self) -> Reports:
        """See `OperationsStore.questions`."""
        ...

    def clock(self) -> datetime:
        """See `DeliveryStore.clock`."""
        ...

    async def status(self) -> Status:
        """See `MaintenanceStore.status`."""
        ...

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        """See `MaintenanceStore.publish`."""
        ...

    async def audit(self, *, limit: int, id_: str | None = None) -> Sequence[AuditEntry]:
        """See `OperationsStore.audit`."""
        ...


@dataclass(slots=True)
class Act:
    """One act: under way, or ended with a document or an error. `whole`: it is not to be stopped."""

    id: str
    key_id: str
    operation: str
    digest: bytes
    began_at: datetime
    whole: bool
    stopped: bool = False
    task: asyncio.Task[Any] = field(init=False)
    ended_at: datetime | None = None

    @property
    def failed(self) -> bool:
        """True if it ended with an error, or was cancelled."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


def key_id_of(asker: str, key: str | None) -> str:
    """What a key of an asker stands for in this process; without a key something new."""
    return str(uuid7()) if key is None else str(uuid5(NAMESPACE, f"{asker}\n{key}"))


def act_id_of(key_id: str, digest: bytes) -> str:
    """The id of an act: the same for the same act under the same key, in the next process too.

    What was asked is part of it, so that a key that is used for something else never hides behind an audit entry.
    """
    return str(uuid5(UUID(key_id), digest.hex()))


def digest_of(operation: str, given: object) -> bytes:
    """What was asked, to see whether a key is used for something else."""
    return hashlib.sha256(orjson.dumps([operation, given], option=orjson.OPT_SORT_KEYS)).digest()


class Acts:
    """The acts of this process, by id, and long ones that the process before it did not end, or that other relays do.

    `store` dates them and keeps the ids of long ones that have begun and not ended, for the next process and for other
    relays.
    """

    def __init__(self, store: ActStore) -> None:
        self._store = store
        self._acts: OrderedDict[str, Act] = OrderedDict()
        self._begun: dict[str, Json] | None = None  # long ones, not ended

    async def done(
        self,
        id_: str,
        key_id: str,
        operation: Operation[Any, Any],
        digest: bytes,
        run: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Run an act, or wait for the one of this key: its document, or None if it is under way after `PATIENCE`.

        Raises its error, or KeyReused. What failed or was stopped is tried again.
        """
        act = next((each for each in self._acts.values() if each.key_id == key_id), None)
        if act and act.digest != digest:
            raise KeyReused(f"this Idempotency-Key was used for another act, {act.operation}: take a new one")
        if act is None or act.failed:
            act = Act(
                id=id_,
                key_id=key_id,
                operation=operation.name,
                digest=digest,
                began_at=self._store.clock(),
                whole=operation.whole or not operation.long,
            )
            act.task = asyncio.create_task(
                self._run_long(act, run) if operation.long else _run(act, run, self._store.clock)
            )
            self._remember(act)
        ended, _ = await asyncio.wait([act.task], timeout=PATIENCE if operation.long else None)
        if ended and act.stopped:
            raise ConflictError(f"the act {act.id} was stopped: what was done stays, repeat it for the rest")
        return act.task.result() if ended else None

    async def _run_long(self, act: Act, run: Callable[[], Awaitable[Any]]) -> Any:
        begun = await self._left()
        begun[act.id] = _begun_entry(act)
        try:
            await self._publish(begun)
            return await _run(act, run, self._store.clock)
        finally:
            if act.ended_at:  # else it was cancelled, which is for the next process to know
                if act.stopped:
                    begun[act.id] = {**_begun_entry(act), "stopped": True}
                else:
                    begun.pop(act.id, None)
                with suppress(RelayError):  # it is done; only its trace stays
                    await self._publish(begun)

    async def stop(self, id_: str) -> bool:
        """Have an act of this relay end where it is, and wait for that; False if it was stopped before.

        ConflictError for one that has ended, must not be stopped, or is another relay's.
        """
        act = self._acts.get(id_)
        if act is None:
            found = await self.document(id_)
            if found.state is ActState.STOPPED:
                return False
            at = f" at the relay {found.relay}: stop it there" if found.relay else ""
            raise ConflictError(f"this act is {found.state}{at}")
        if act.stopped:
            return False
        if act.task.done():
            raise ConflictError(f"this act is {_document(act, None).state}")
        if act.whole:
            raise ConflictError(f"{act.operation} is not stopped in its midst")
        act.stopped, act.ended_at = True, self._store.clock()
        act.task.cancel()
        await asyncio.wait([act.task])
        return act.stopped  # not if it ended by itself meanwhile

    def _remember(self, act: Act) -> None:
        self._acts[act.id] = act
        self._acts.move_to_end(act.id)
        act.task.add_done_callback(_retrieved)
        ended = [each.id for each in self._acts.values() if each.task.done()]
        for id_ in ended[: max(len(self._acts) - MAX_KEPT, 0)]:
            del self._acts[id_]

    async def _publish(self, begun: dict[str, Json]) -> None:
        newest = dict([*begun.items()][-MAX_INTERRUPTED:])
        await self._store.publish(REPORT, newest, now=self._store.clock())

    async def _left(self) -> dict[str, Json]:
        if self._begun is None:
            reports, own = await self._store.questions.published(REPORT), self._store.questions.relay
            if self._begun is None:  # somebody else may have asked meanwhile
                self._begun = next(({**_begun(each)} for each in reports if each.relay == own), {})
        return self._begun

    async def document(self, id_: str) -> ActDocument:
        """How far an act is, of this relay or of another one on its store; NotFoundError for an id that none knows."""
        found = next(iter(await self._store.audit(limit=1, id_=id_)), None)
        count = found.count if found else None
        if act := self._acts.get(id_):
            return _document(act, count)
        for report in await self._store.questions.published(REPORT):
            if isinstance(left := _begun(report).get(id_), dict):
                return replace(await self._left_by(report.relay, id_, left), count=count)
        if found is None:
            raise NotFoundError(f"no act {id_[:80]!r} was begun of late: see GET /api/v1/audit")
        return ActDocument(
            act=id_, operation=found.command, state=ActState.DONE, began_at=found.at, count=count
        )  # fmt: skip

    async def _left_by(self, relay: str, id_: str, left: Mapping[str, Json]) -> ActDocument:
        """An act that was begun and has not ended: stopped, or under way if the process still lives that began it."""
        began_at = datetime.fromisoformat(str(left["began_at"]))
        if left.get("stopped"):
            return ActDocument(act=id_, operation=str(left["operation"]), state=ActState.STOPPED, began_at=began_at)
        standings = (await self._store.status()).living if relay != self._store.questions.relay else ()
        lives = any(each.name == relay and each.since <= began_at for each in standings)
        return ActDocument(
            act=id_,
            operation=str(left["operation"]),
            state=ActState.RUNNING if lives else ActState.INTERRUPTED,
            began_at=began_at,
            relay=relay if lives else "",
        )

    async def close(self) -> None:
        """Cancel what is under way: it is `interrupted` then."""
        running = [each.task for each in self._acts.values() if not each.task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def _begun_entry(act: Act) -> dict[str, Json]:
    return {"operation": act.operation, "began_at": rfc3339(act.began_at)}


def _begun(report: Report) -> Mapping[str, Json]:
    return report.value if isinstance(report.value, dict) else {}


async def _run(act: Act, run: Callable[[], Awaitable[Any]], clock: Callable[[], datetime]) -> Any:
    try:
        document = await run()
    except Exception:
        act.ended_at, act.stopped = clock(), False  # by itself, even if it was to be stopped
        raise
    act.ended_at, act.stopped = clock(), False
    return document


def _document(act: Act, count: int | None) -> ActDocument:
    about = ActDocument(
        act=act.id,
        operation=act.operation,
        state=ActState.RUNNING,
        began_at=act.began_at,
        ended_at=act.ended_at,
        count=count,
    )
    return _ended(about, act) if act.task.done() else about


def _ended(about: ActDocument, act: Act) -> ActDocument:
    task = act.task
    if task.cancelled():
        return replace(about, state=ActState.STOPPED if act.stopped else ActState.INTERRUPTED)
    match task.exception():
        case None:
            return replace(about, state=ActState.DONE, document=orjson.loads(encode(task.result())))
        case RelayError() as error:
            return replace(about, state=ActState.FAILED, problem=orjson.loads(encode(problem_of(error, ""))))
        case fault:
            return replace(about, state=ActState.FAILED, problem={"detail": f"a fault of the relay: {fault!r}"})


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Mark its exception as seen: the client may have left."""
    if not task.cancelled():
        task.exception()
