"""`relay move`: a SQLite store -> an empty PostgreSQL store with all of it."""

import click

from relay.cli.options import asynchronous, json_option
from relay.cli.output import counted_rows, print_json
from relay.cli.store import parse_store_url, store_option
from relay.operations import upkeep
from relay.store.open import StoreUrl


@click.command("move")
@click.option(
    "--from",
    "source",
    type=parse_store_url,
    metavar="URL",
    required=True,
    help="The SQLite store; its daemon must be stopped.",
)
@store_option
@json_option
@asynchronous
async def move(source: StoreUrl, store_url: StoreUrl, as_json: bool) -> None:
    """Copy a SQLite store into an empty PostgreSQL store.

    Stop the daemon first. All of it is copied in one transaction: webhooks, events, deliveries, attempts, pauses,
    losses and the audit, in their order and with their checksums; grants of accounts, and what healing and the guard
    know. The SQLite store stays as it is: keep it as a backup, and start no relay on it, and no command, for that
    would deliver once more what was pending, and use up a grant. For the machine that has that file.

    \b
    relay move --from sqlite:///relay.db --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    counts = await upkeep.move(source, store_url)
    if as_json:
        print_json({"to": str(store_url), "rows": {**counts}})
        return
    content = ", ".join(counted_rows(number, name) for name, number in counts.items() if number)
    click.echo(f"moved to {store_url}: {content or 'nothing, the store is empty'}")
