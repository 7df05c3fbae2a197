"""Acts that the API was asked for: each is run once for an `Idempotency-Key`, and goes on after the answer 202."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID, uuid5

import orjson
from uuid_utils import uuid7

from relay.admin.api.problems import problem_of
from relay.errors import ConflictError, RelayError
from relay.http.faults import note_fault
from relay.model import Json
from relay.operations.act_traces import REPORT, Trace, document_of, published, traces_of
from relay.operations.desk import Operation
from relay.operations.documents.acts import ActDocument, ActState
from relay.operations.documents.encoding import encode
from relay.operations.problem_types import KeyReused
from relay.store.records import AuditEntry, Report

NAMESPACE = UUID("5d1f6a0e-6f0b-5c55-9d0c-0c6c3a2d7a11")
PATIENCE = 1.0  # seconds until the answer 202
MAX_KEPT = 1_000  # acts that ended; an older key begins a new act
MAX_PUBLISHED = 50
MAX_DETAIL = 500  # characters of an error that are published


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

    async def audit(self, *, limit: int, id_: str | None = None) -> Sequence[AuditEntry]:
        """See `OperationsStore.audit`."""
        ...

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        """See `MaintenanceStore.publish`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An act that is asked for: its id, and what its key stands for (`act_id_of`, `key_id_of`, `digest_of`)."""

    id: str
    key_id: str
    digest: bytes
    operation: Operation[Any, Any]
    who: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Act:
    """One act: under way, or ended with a document or an error. `accepted`: its asker was given the id alone."""

    wanted: Wanted
    began_at: datetime
    stopped: bool = False
    task: asyncio.Task[Any] = field(init=False)
    ended_at: datetime | None = None
    error: Exception | None = None
    accepted: bool = False

    @property
    def failed(self) -> bool:
        """True if it ended with an error, or was cancelled."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @property
    def trace(self) -> Trace:
        """What is published of it."""
        state = ActState.STOPPED if self.stopped else ActState.FAILED if self.error else ActState.DONE
        return Trace(
            operation=self.wanted.operation.name,
            began_at=self.began_at,
            state=state if self.ended_at else ActState.RUNNING,
            who=self.wanted.who,
            dry_run=self.wanted.dry_run,
            ended_at=self.ended_at,
            problem=_problem(self.error, kept=True) if self.error else None,
        )


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
    """The acts of this process, by id.

    `store` dates them and keeps the traces of long ones, for the next process, for other relays and for commands.
    """

    def __init__(self, store: ActStore) -> None:
        self._store = store
        self._acts: OrderedDict[str, Act] = OrderedDict()
        self._traces: dict[str, Trace] | None = None  # of long ones, those of the process before too

    @property
    def under_way(self) -> int:
        """How many have begun and not ended."""
        return sum(not each.task.done() for each in self._acts.values())

    async def done(self, wanted: Wanted, run: Callable[[], Awaitable[Any]]) -> Any:
        """Run an act, or wait for the one of this key: its document, or None if it is under way after `PATIENCE`.

        Raises its error, or KeyReused. What failed or was stopped is tried again.
        """
        long = wanted.operation.long
        act = next((each for each in self._acts.values() if each.wanted.key_id == wanted.key_id), None)
        if act and act.wanted.digest != wanted.digest:
            used = act.wanted.operation.name
            raise KeyReused(f"this Idempotency-Key was used for another act, {used}: take a new one")
        if act is None or act.failed:
            act = Act(wanted=wanted, began_at=self._store.clock())
            act.task = asyncio.create_task(
                self._run_long(act, run) if long else _run(act, run, self._store.clock)
            )  # fmt: skip
            self._remember(act)
        ended, _ = await asyncio.wait([act.task], timeout=PATIENCE if long else None)
        if ended and act.stopped:
            raise ConflictError(f"the act {wanted.id} was stopped: what was done stays, repeat it for the rest")
        if not ended:
            act.task.add_done_callback(partial(_log_fault, wanted))
        act.accepted = act.accepted or not ended
        return act.task.result() if ended else None

    async def _run_long(self, act: Act, run: Callable[[], Awaitable[Any]]) -> Any:
        try:
            await self._publish(act)
        except BaseException:
            (self._traces or {}).pop(act.wanted.id, None)  # it has not begun
            raise
        try:
            return await _run(act, run, self._store.clock)
        finally:
            if act.ended_at:  # else it was cancelled, which is for the next process to know
                with suppress(RelayError):  # it has ended; only its trace stays as it was
                    await self._publish(act)

    def known(self, id_: str) -> ActDocument | None:
        """See `ActsHere.known`."""
        act = self._acts.get(id_)
        return _document(act) if act else None

    async def stop(self, id_: str) -> bool:
        """See `ActsHere.stop`."""
        act = self._acts[id_]
        if act.stopped:
            return False
        if act.task.done():
            raise ConflictError(f"this act is {_document(act).state}")
        if act.wanted.operation.whole or not act.wanted.operation.long:
            raise ConflictError(f"{act.wanted.operation.name} is not stopped in its midst")
        act.stopped, act.ended_at = True, self._store.clock()
        act.task.cancel()
        await asyncio.wait([act.task])
        return act.stopped  # not if it ended by itself meanwhile

    def _remember(self, act: Act) -> None:
        self._acts[act.wanted.id] = act
        self._acts.move_to_end(act.wanted.id)
        act.task.add_done_callback(_retrieved)
        ended = [id_ for id_, each in self._acts.items() if each.task.done()]
        for id_ in ended[: max(len(self._acts) - MAX_KEPT, 0)]:
            del self._acts[id_]

    async def _publish(self, act: Act) -> None:
        traces = await self._left()
        traces[act.wanted.id] = act.trace
        if act.ended_at and (act.wanted.dry_run or await self._refused(act)):
            traces.pop(act.wanted.id, None)  # of dry runs the console has many
        ended = [id_ for id_ in traces if (each := self._acts.get(id_)) is None or each.ended_at]
        for id_ in ended[: max(len(traces) - MAX_PUBLISHED, 0)]:
            del traces[id_]
        await self._store.publish(REPORT, published(traces), now=self._store.clock())

    async def _refused(self, act: Act) -> bool:
        """Whether it failed before it did anything, and its asker knows: a name that is mistyped, say."""
        return bool(act.error) and not act.accepted and not await self._store.audit(limit=1, id_=act.wanted.id)

    async def _left(self) -> dict[str, Trace]:
        if self._traces is None:
            reports, own = await self._store.questions.published(REPORT), self._store.questions.relay
            if self._traces is None:  # somebody else may have asked meanwhile
                self._traces = next((traces_of(each) for each in reports if each.relay == own), {})
        return self._traces

    async def close(self) -> None:
        """Cancel what is under way: it is `interrupted` then."""
        running = [each.task for each in self._acts.values() if not each.task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _run(act: Act, run: Callable[[], Awaitable[Any]], clock: Callable[[], datetime]) -> Any:
    try:
        document = await run()
    except Exception as error:
        act.ended_at, act.stopped, act.error = clock(), False, error  # by itself, even if it was to be stopped
        raise
    act.ended_at, act.stopped = clock(), False
    return document


def _document(act: Act) -> ActDocument:
    about, task = document_of(act.wanted.id, act.trace), act.task
    if not task.done():
        return replace(about, state=ActState.RUNNING)
    if task.cancelled():
        return replace(about, state=ActState.STOPPED if act.stopped else ActState.INTERRUPTED)
    if error := task.exception():
        return replace(about, state=ActState.FAILED, problem=_problem(error))
    return replace(about, document=orjson.loads(encode(task.result())))


def _problem(error: BaseException, *, kept: bool = False) -> Json:
    """Why it failed; `kept`: as it is stored, without what may be a value of an event."""
    if not isinstance(error, RelayError):
        return {"detail": f"a fault of the relay: {type(error).__name__}, see its log"}
    found = problem_of(error, "")
    whole: Json = orjson.loads(encode(replace(found, detail=found.detail[:MAX_DETAIL], errors=()) if kept else found))
    return whole


def _log_fault(wanted: Wanted, task: asyncio.Task[Any]) -> None:
    """Log what no answer can say any more."""
    error = None if task.cancelled() else task.exception()
    if error and not isinstance(error, RelayError):
        note_fault(f"{wanted.operation.name}, act {wanted.id}", error)


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Mark its exception as seen: the client may have left."""
    if not task.cancelled():
        task.exception()
