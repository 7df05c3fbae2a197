"""An asker's question or act -> the desk, so many at a time: what the API and the console have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from relay.admin.api.acts import Acts, Wanted, act_id_of, digest_of, key_id_of
from relay.errors import ConflictError, StoreBusy
from relay.operations import lookup
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk, Operation, Receive, Verifying
from relay.operations.documents.acts import ActState
from relay.operations.reading import parameters
from relay.operations.reloads import load
from relay.routes.config import Config
from relay.signals import Reloaded
from relay.store.contract import Archive

P = TypeVar("P")
D = TypeVar("D")

MAX_AT_ONCE = 8
"""So many are asked of the store at a time: intake shares its processor with them."""
MAX_LONG = 2
"""So many acts that take long are under way beside them; others wait."""
MAX_DRY_RUNS = 2
"""So many of their dry runs, which count all that they would do, beside both."""
MAX_REMOTE = 2
"""So many acts that wait for other hosts, beside all of them: one that is dead is waited for."""
MAX_WAITING = 16
MAX_WAIT = 5.0  # seconds for one of those places


@dataclass(frozen=True, kw_only=True)  # no slots: typing sets an attribute on generic instances
class Acted(Generic[D]):
    """The id of an act, and its document; None if it goes on."""

    id: str
    document: D | None


class Asking:
    """Questions and acts of every front end of the listener: they share its places and its idempotency keys."""

    def __init__(
        self,
        store: Archive,
        config: Callable[[], Config],
        names: Path | None = None,
        reload: Callable[[], Awaitable[Reloaded]] | None = None,
        receive: Receive | None = None,
        verify: Verifying | None = None,
        console: str = "",
    ) -> None:
        self._store = store
        self._config = config
        self._names = names
        self._reload = reload
        self._receive = receive
        self._verify = verify
        self._console = console
        self._acts = Acts(store)
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._long = _Queue(MAX_LONG, "acts that take long")
        self._dry_runs = _Queue(MAX_DRY_RUNS, "dry runs")
        self._remote = _Queue(MAX_REMOTE, "tests of receivers")
        self._by_name: dict[str, str] = {}  # of operations that are `alone`, the act that is under way

    def now(self) -> datetime:
        """The present time of the store, aware UTC."""
        return self._store.clock()

    async def give_way(self) -> None:
        """Wait until no webhook is being committed, some ms at most."""
        await self._store.give_way()

    @property
    def under_way(self) -> int:
        """How many acts of this relay have begun and not ended."""
        return self._acts.under_way

    def failed(self, act: str) -> bool:
        """Whether this relay knows that the act has failed: what was asked may be asked again."""
        known = self._acts.known(act)
        return known is not None and known.state is ActState.FAILED

    async def ask(self, asker: Asker, operation: Operation[P, D], asked: P) -> D:
        """Ask a question; StoreBusy if no place is free for `MAX_WAIT`."""
        desk = Desk(self._store, asker, config=self._config, names=self._names, acts=self._acts)
        return await self._in_turn(partial(desk.ask, operation, asked))

    async def act(
        self, asker: Asker, operation: Operation[P, D], given: Mapping[str, Any], *, key: str | None
    ) -> Acted[D]:
        """Do what was `given` in JSON, once for each key; its document is None if it is under way after a second."""
        asked = parameters(operation.parameters, given, now=self.now(), strict=True)
        key_id, digest = key_id_of(asker.name, key), digest_of(operation.name, given)
        wanted = Wanted(
            id=act_id_of(key_id, digest),
            key_id=key_id,
            digest=digest,
            operation=operation,
            who=asker.name,
            dry_run=getattr(asked, "dry_run", False),
        )
        desk = Desk(
            self._store,
            asker,
            config=self._config,
            act_id=wanted.id,
            names=self._names,
            reload=self._reload,
            receive=self._receive,
            acts=self._acts,
            verify=self._verify,
            console=self._console,
        )
        asker.demand(operation.role)  # before the key is looked up: whoever may not act learns nothing of acts
        run = partial(self._where_it_belongs, wanted, partial(desk.ask, operation, asked))
        return Acted(id=wanted.id, document=await self._acts.done(wanted, run))

    async def body(self, asker: Asker, webhook: str) -> bytes:
        """The body of a webhook as it came; NotAllowed for an asker without payloads."""
        asker.demand(Role.VIEWER)
        asker.demand_payloads("the body of a webhook")
        found = await self._in_turn(partial(lookup.show, self._store, webhook))
        return found.record.webhook.body

    async def reload(self, asker: Asker, reload: Callable[[], Awaitable[Reloaded]]) -> Reloaded:
        """Load the files again as the operation does, with an entry of the audit; return all that came of it."""
        desk = Desk(self._store, asker, config=self._config, reload=reload)
        asker.demand(Role.OPERATOR)
        return await load(desk)

    async def close(self) -> None:
        """Cancel the acts that are under way."""
        await self._acts.close()

    async def _where_it_belongs(self, wanted: Wanted, run: Callable[[], Awaitable[D]]) -> D:
        if wanted.operation.alone:
            return await self._alone(wanted, run)
        if wanted.operation.remote:
            return await self._remote.after_others(run)
        if not wanted.operation.long:
            return await self._in_turn(run)
        return await (self._dry_runs if wanted.dry_run else self._long).after_others(run)

    async def _alone(self, wanted: Wanted, run: Callable[[], Awaitable[D]]) -> D:
        """Run it beside what others wait for; ConflictError if another act of the operation is under way."""
        name = wanted.operation.name
        if under_way := self._by_name.get(name):
            raise ConflictError(f"another {name} is under way: see the act {under_way}")
        self._by_name[name] = wanted.id
        try:
            return await run()
        finally:
            del self._by_name[name]

    async def _in_turn(self, run: Callable[[], Awaitable[D]]) -> D:
        try:
            async with asyncio.timeout(MAX_WAIT):
                await self._places.acquire()
        except TimeoutError:
            raise StoreBusy(f"{MAX_AT_ONCE} questions and acts are under way: ask again") from None
        try:
            return await run()
        finally:
            self._places.release()


class _Queue:
    """So many at once; others wait, and no more than `MAX_WAITING` of them."""

    def __init__(self, at_once: int, of: str) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most = at_once + MAX_WAITING
        self._of = of
        self._here = 0  # under way, or waiting

    async def after_others(self, run: Callable[[], Awaitable[D]]) -> D:
        """Run it in its turn; StoreBusy if too many wait."""
        if self._here >= self._most:
            raise StoreBusy(f"{self._here} {self._of} are under way or wait: ask again")
        self._here += 1
        try:
            async with self._places:
                return await run()
        finally:
            self._here -= 1
