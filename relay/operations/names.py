"""The accounts of a routes file -> the names of their things, asked for and cached, as a person looks them up."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.account.client import AccountClient
from relay.account.names_cache import refresh
from relay.errors import ConflictError, NotFoundError
from relay.model import Account
from relay.model.names import Catalog
from relay.model.names_json import to_json as to_json
from relay.routes.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """One thing: the `key` of a match that takes the name, the name as it is written there, and the id."""

    key: str
    name: str
    id: int
    remark: str = ""


def chosen(config: Config, names: tuple[str, ...]) -> list[Account]:
    """The accounts that are named, or all; NotFoundError for one that the file has not, or if it has none."""
    if not config.accounts:
        raise NotFoundError(f"{config.file} has no accounts: see docs/routes.md, by name")
    for name in names:
        if name not in config.accounts:
            raise NotFoundError(f"{config.file} has no account {name!r} (known: {', '.join(config.accounts)})")
    return [config.accounts[name] for name in names or config.accounts]


def one(accounts: list[Account]) -> Account:
    """The one account; ConflictError if there are several."""
    if len(accounts) > 1:
        raise ConflictError(f"which account? relay names --export {accounts[0].name}")
    return accounts[0]


async def ask(client: AccountClient, config: Config, folder: Path, *, clock: Callable[[], datetime]) -> Catalog:
    """Ask an account for its names, and cache them: a running daemon loads its routes again if one has changed.

    Raises an AccountError, or ConfigurationError if the cache cannot be written.
    """
    account = client.account
    return await refresh(client, account, folder, known=config.catalogs.get(account.name), now=clock())


def rows(catalog: Catalog) -> Iterator[NameRow]:
    """Everything that has a name, as it is written in a match, but for what is gone."""
    for pipeline in catalog.pipelines:
        if pipeline.gone:
            continue
        archived = "archived" if pipeline.archived else ""
        yield NameRow(key="pipeline", name=pipeline.name, id=pipeline.id, remark=_remark(pipeline.former, archived))
        for stage in pipeline.stages:
            if not stage.gone:
                name = f"{pipeline.name}/{stage.name}"
                yield NameRow(key="stage", name=name, id=stage.id, remark=_remark(stage.former))
    for user in catalog.users:
        if not user.gone:
            yield NameRow(key="responsible", name=user.email or user.name, id=user.id, remark=user.name)
    for field in catalog.custom_fields:
        if not field.gone:
            said = f"of {field.entity}" + (f", {field.name}" if field.code else "")
            yield NameRow(key="custom_fields", name=field.code or field.name, id=field.id, remark=said)


def _remark(former: tuple[str, ...], more: str = "") -> str:
    return ", ".join(filter(None, [more, f"was {', '.join(former)}" if former else ""]))
