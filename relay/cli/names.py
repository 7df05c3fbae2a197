"""`relay names`: what amoCRM calls the things whose ids events have -> a table, or a file for machines without it."""

from datetime import UTC, datetime
from pathlib import Path

import click

from relay.account.opening import asking
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, note, print_json, put, table
from relay.cli.routes_file import config_option, load
from relay.cli.store import account_records, names_folder, store_option
from relay.model import Account, Json
from relay.model.names import Catalog
from relay.operations import names as operation
from relay.routes.config import Config
from relay.store.open import StoreUrl


@click.command("names")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option("--export", is_flag=True, help="Print a file for `names` of the account, with all former names.")
@config_option
@store_option
@json_option
@asynchronous
async def names(accounts: tuple[str, ...], export: bool, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Ask accounts for the names of stages, users and custom fields.

    They are cached beside the store, where routes by name find them; a running daemon loads its routes again if a name
    has changed. Without ACCOUNT, those of every account of the routes file. For the machine that has the store.

    \b
    relay names
    relay names --export main > names.json
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load(config_path)
    found = operation.chosen(config, accounts)
    if export:
        print_json(operation.to_json(await _asked(operation.one(found), config, store_url)))
        return
    catalogs = [(account, await _asked(account, config, store_url)) for account in found]
    if as_json:
        print_json({"accounts": [_view(*each) for each in catalogs]})
        return
    for each in catalogs:
        _print(*each)


def _view(account: Account, catalog: Catalog) -> Json:
    rows = [{"key": row.key, "name": row.name, "id": row.id, "remark": row.remark} for row in operation.rows(catalog)]
    return {"account": account.name, "host": catalog.host, "names": rows}


async def _asked(account: Account, config: Config, store_url: StoreUrl) -> Catalog:
    folder = names_folder()
    async with asking(account, account_records(store_url), clock=_utc_now) as client:
        return await operation.ask(client, config, folder, clock=_utc_now)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _print(account: Account, catalog: Catalog) -> None:
    shown = table("KEY", "NAME", "ID", "REMARK", right=("ID",), folds=("NAME", "REMARK"))
    for row in operation.rows(catalog):
        shown.add_row(cell(row.key, "dim"), cell(row.name), cell(row.id), cell(row.remark))
    note(f"{account.name}: {catalog.host}")
    put(shown)
