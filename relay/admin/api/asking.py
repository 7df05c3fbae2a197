"""An asker's question or act -> the desk, so many at a time: what the API and the console have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from relay.admin.api.acts import Acts, act_id_of, digest_of, key_id_of
from relay.errors import StoreBusy
from relay.operations import lookup
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk, Operation, Receive
from relay.operations.documents.acts import ActDocument
from relay.operations.masking import mask
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
MAX_LONG_WAITING = 16
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
    ) -> None:
        self._store = store
        self._config = config
        self._names = names
        self._reload = reload
        self._receive = receive
        self._acts = Acts(store)
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._long_places = asyncio.Semaphore(MAX_LONG)
        self._long = 0  # under way, or waiting

    def now(self) -> datetime:
        """The present time of the store, aware UTC."""
        return self._store.clock()

    async def ask(self, asker: Asker, operation: Operation[P, D], asked: P) -> D:
        """Ask a question; StoreBusy if no place is free for `MAX_WAIT`."""
        desk = Desk(self._store, asker, config=self._config, names=self._names)
        return await self._in_turn(partial(desk.ask, operation, asked))

    async def act(
        self, asker: Asker, operation: Operation[P, D], given: Mapping[str, Any], *, key: str | None
    ) -> Acted[D]:
        """Do what was `given` in JSON, once for each key; its document is None if it is under way after a second."""
        asked = parameters(operation.parameters, given, now=self.now(), strict=True)
        key_id, digest = key_id_of(asker.name, key), digest_of(operation.name, given)
        id_ = act_id_of(key_id, digest)
        desk = Desk(
            self._store,
            asker,
            config=self._config,
            act_id=id_,
            names=self._names,
            reload=self._reload,
            receive=self._receive,
        )
        asker.demand(operation.role)  # before the key is looked up: whoever may not act learns nothing of acts
        long = operation.long and not getattr(asked, "dry_run", False)
        run = partial(self._after_others if long else self._in_turn, partial(desk.ask, operation, asked))
        done = await self._acts.done(id_, key_id, operation, digest, run)
        return Acted(id=id_, document=done)

    async def progress(self, asker: Asker, act: str) -> ActDocument:
        """How far an act is; NotFoundError for an id that no relay on this store knows."""
        document = await self._acts.document(act)
        return document if asker.payloads else mask(document)

    async def body(self, asker: Asker, webhook: str) -> bytes:
        """The body of a webhook as it came; NotAllowed for an asker without payloads."""
        asker.demand(Role.VIEWER)
        asker.demand_payloads("the body of a webhook")
        found = await self._in_turn(partial(lookup.show, self._store, webhook))
        return found.record.webhook.body

    async def stop(self, asker: Asker, act: str) -> ActDocument:
        """Have an act that takes long end where it is, and write that to the audit; what was done stays."""
        asker.demand(Role.OPERATOR)
        if await self._acts.stop(act):
            document = await self._acts.document(act)
            desk = Desk(self._store, asker, config=self._config)
            await self._store.record_audit(desk.act("stop", {"act": act, "operation": document.operation}), 1)
        return await self.progress(asker, act)

    async def reload(self, asker: Asker, reload: Callable[[], Awaitable[Reloaded]]) -> Reloaded:
        """Load the files again as the operation does, with an entry of the audit; return all that came of it."""
        desk = Desk(self._store, asker, config=self._config, reload=reload)
        asker.demand(Role.OPERATOR)
        return await load(desk)

    async def close(self) -> None:
        """Cancel the acts that are under way."""
        await self._acts.close()

    async def _after_others(self, run: Callable[[], Awaitable[D]]) -> D:
        if self._long >= MAX_LONG + MAX_LONG_WAITING:
            raise StoreBusy(f"{self._long} acts that take long are under way or wait: ask again")
        self._long += 1
        try:
            async with self._long_places:
                return await run()
        finally:
            self._long -= 1

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
