"""The one gate for questions and acts: `await desk.ask(PAUSE, Pause(target="crm"))` -> a document.

Each front end (command line, JSON API, console) asks here, so that none can forget the role or the mask.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from uuid_utils import uuid7

from relay.errors import RoutesInvalid, RoutesMissing
from relay.model import Json, Source
from relay.operations.asker import Asker, Role
from relay.operations.documents.acts import ActDocument
from relay.operations.masking import mask
from relay.routes.config import Config
from relay.signals import Reloaded
from relay.store.contract import Archive
from relay.store.records import AuditEntry

P = TypeVar("P")
D = TypeVar("D")

Receive: TypeAlias = Callable[[Source, bytes], Awaitable[str]]
"""Take a body as if it had been posted to a source; return the id of the webhook. ConflictError if it is not stored."""

Verifying: TypeAlias = Callable[[], Awaitable[bytes]]
"""Verify the store in another process; return what it printed, for `operations.verify.read_answer`."""


class ActsHere(Protocol):
    """The acts that were begun by the process that is asked."""

    def known(self, id_: str) -> ActDocument | None:
        """How far one is; None if this process has not begun it, or no longer remembers."""
        ...

    async def stop(self, id_: str) -> bool:
        """Have one that is `known` end where it is, and wait for that; False if it was stopped before.

        ConflictError for one that has ended or must not be stopped.
        """
        ...


class Desk:
    """What an operation works with, for one asker: the store, the routes in force, who acts, and the id of the act.

    `config` raises RoutesInvalid if there is a routes file and it cannot be used. `act_id`: the id of the audit entry;
    an act that is repeated with one id is done once, as the store's verbs promise. `names`: the folder with the
    catalogs of accounts. `reload` loads the files of a relay again, where one runs. `archive`: the folder that a purge
    writes to, in place of that of the routes. `env`: the variables that the text of a routes file may use; None for
    texts that come from elsewhere, which are sealed (see `routes.config.parse`). `acts`: those of a relay, where one is
    asked. `verify`: see `Verifying`. `console`: where people reach its pages, without a slash at its end.
    """

    def __init__(
        self,
        store: Archive,
        asker: Asker,
        *,
        config: Callable[[], Config],
        act_id: str | None = None,
        names: Path | None = None,
        reload: Callable[[], Awaitable[Reloaded]] | None = None,
        receive: Receive | None = None,
        archive: Path | None = None,
        env: Mapping[str, str] | None = None,
        acts: ActsHere | None = None,
        verify: Verifying | None = None,
        console: str = "",
    ) -> None:
        self.store = store
        self.asker = asker
        self.config = config
        self.act_id = act_id
        self.names = names
        self.reload = reload
        self.receive = receive
        self.archive = archive
        self.env = env
        self.acts = acts
        self.verify = verify
        self.console = console

    async def ask(self, operation: "Operation[P, D]", parameters: P) -> D:
        """Run an operation; NotAllowed if the asker's role does not include its role."""
        self.asker.demand(operation.role)
        document = await operation.run(self, parameters)
        return document if self.asker.payloads else mask(document)

    def now(self) -> datetime:
        """The present time of the store, aware UTC: with PostgreSQL the server's, not this machine's."""
        return self.store.clock()

    def act(self, command: str, details: Mapping[str, Json]) -> AuditEntry:
        """The audit entry of the act that is being done; the store fills in how many things it concerned."""
        id_ = self.act_id or str(uuid7())
        return AuditEntry(id=id_, at=self.now(), who=self.asker.name, command=command, details=details)

    def config_if_any(self) -> Config | None:
        """The routes in force; None only where there is no file: one that cannot be used may say what matters."""
        try:
            return self.config()
        except RoutesMissing:
            return None

    def config_or_none(self) -> Config | None:
        """The routes in force; None if they cannot be used, for operations that work without them."""
        try:
            return self.config()
        except RoutesInvalid:
            return None

    def routed(self) -> Collection[str]:
        """The targets that the routes in force name; none if they cannot be used."""
        config = self.config_or_none()
        return config.targets if config else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[P, D]):
    """A question or an act, declared beside its function and listed in `registry`.

    `path` is below /api/v1; `{names}` in it, the query and a JSON body become `parameters`, a frozen dataclass. The
    `document`, a frozen dataclass, is what the API answers, what `--json` prints, and what the tables are made of.
    `role` is who may. `summary` is its line in the OpenAPI document. `long`: it may take more than a second; the API
    answers 202 then, and the act goes on. Killed in its midst and repeated with the same id, it goes on where it was.
    `whole`: one that is not to be stopped in its midst. `remote`: it waits for other hosts, and takes no place of
    those that ask the store. `alone`: one at a time, beside all others.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    role: Role
    parameters: type[P]
    document: type[D]
    run: Callable[[Desk, P], Awaitable[D]]
    summary: str
    long: bool = False
    whole: bool = False
    remote: bool = False
    alone: bool = False
