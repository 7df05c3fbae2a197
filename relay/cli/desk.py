"""`--config`, `--store` or `--relay` -> the desk to ask: `async with place.desk() as desk: await desk.ask(…)`."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from relay.cli import NotDone
from relay.cli.options import LINES, elsewhere, relay_option, was_given
from relay.cli.output import document_line, note, print_document
from relay.cli.routes_file import config_option, load, load_with_stand_ins, unusable
from relay.cli.store import names_folder, operator, store_option, visiting
from relay.cli.times import local
from relay.errors import RoutesInvalid
from relay.operations.asker import Asker, Role
from relay.operations.clock import no_store
from relay.operations.desk import Desk, Operation
from relay.operations.documents.listing import Listing
from relay.operations.which import MAX_PAGE
from relay.store.open import StoreUrl

if TYPE_CHECKING:
    from relay.routes.config import Config

T = TypeVar("T")
P = TypeVar("P")
D = TypeVar("D")
L = TypeVar("L", bound=Listing[Any])


class AnyDesk(Protocol):
    """A desk here, or that of a relay elsewhere: a command does not know which."""

    async def ask(self, operation: Operation[P, D], parameters: P) -> D:
        """See `Desk.ask`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command asks: beside a store, with the routes file; or the relay at `relay_url`."""

    routes_file: Path
    store: StoreUrl
    relay_url: str | None = None
    config_given: bool = True

    @property
    def config_path(self) -> Path:
        """The routes file of this machine; NotDone with --relay, so that no command mixes the two up."""
        self._demand_here()
        return self.routes_file

    @property
    def store_url(self) -> StoreUrl:
        """The store of this machine; NotDone with --relay."""
        self._demand_here()
        return self.store

    def _demand_here(self) -> None:
        if self.relay_url:
            raise NotDone(f"this is asked of the store alone: run it where the relay at {self.relay_url} is")

    @asynccontextmanager
    async def desk(
        self,
        *,
        noting: bool = False,
        sending: bool = False,
        archive: Path | None = None,
        stored: bool = True,
        console: str = "",
    ) -> AsyncIterator[AnyDesk]:
        """Open the desk; who runs this process is an operator.

        `noting`: say so if the routes file cannot be used. `sending`: it needs the secrets that only requests need.
        `archive`, `console`: see `Desk`. Not `stored`: nothing of the store is asked, so there may be none.
        """
        if self.relay_url and archive:
            raise click.UsageError("--relay asks a relay elsewhere, --archive is of this machine")
        if self.relay_url:
            from relay.cli.remote import remote_desk

            async with remote_desk(self.relay_url) as desk:
                yield desk
            return
        async with visiting(self.store_url) if stored else nullcontext(no_store()) as store:
            asker = Asker(name=operator(), role=Role.OPERATOR, payloads=True)
            config = partial(self._config, noting=noting, sending=sending)
            yield Desk(
                store, asker, config=config, names=names_folder(), archive=archive, env=os.environ, console=console
            )

    def _config(self, *, noting: bool, sending: bool) -> "Config":
        try:
            return load(self.config_path) if sending else load_with_stand_ins(self.config_path)
        except RoutesInvalid as invalid:
            if noting:
                here = self.config_given or self.config_path.exists()
                note(unusable(self.config_path, invalid) if here else f"no {self.config_path} here")
            raise


def place_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command these flags as one argument `place`."""

    @wraps(command)
    def run(*, config_path: Path, store_url: StoreUrl, relay_url: str | None, **others: Any) -> T:
        place = Place(
            routes_file=config_path,
            store=store_url,
            relay_url=elsewhere(relay_url, "store_url", "config_path"),
            config_given=was_given("config_path"),
        )
        return command(place=place, **others)

    decorated: Callable[..., T] = config_option(store_option(relay_option(run)))
    return decorated


async def listed(desk: AnyDesk, operation: Operation[Any, L], asked: Any, limit: int) -> L:
    """Ask for pages until there are `limit` rows, the listing ends, or a look ends by its budget."""
    cursor = "before" if hasattr(asked, "before") else "after"
    page = await desk.ask(operation, replace(asked, limit=min(limit, MAX_PAGE)))
    rows = [*page.data]
    while page.next is not None and page.searched_to is None and len(rows) < limit:
        asked = replace(asked, limit=min(limit - len(rows), MAX_PAGE), **{cursor: page.next})
        page = await desk.ask(operation, asked)
        rows += page.data
    return replace(page, data=tuple(rows))


def print_listing(found: Listing[Any], as_json: str, option: str, rows: Sequence[object] | None = None) -> None:
    """Print a listing as one JSON document, or its `rows` a line each, and then what is beyond it for people."""
    if as_json != LINES:
        print_document(found)
        return
    for each in found.data if rows is None else rows:
        click.echo(document_line(each))
    put_rest(found, option)


def put_rest(found: Listing[T], option: str) -> None:
    """Say what is beyond a listing: `option` is the flag that goes on from its cursor."""
    for each in found.notes:
        note(each)
    if found.searched_to is not None:
        how, to = ("up" if option == "--after" else "back"), local(found.searched_to)
        note(f"searched {how} to {to}; more: {option} {found.next or to}")
    elif found.next is not None:
        note(f"more: {option} {found.next}")
