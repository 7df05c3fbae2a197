"""`relay spool drain`: the spool of a relay that is gone -> its webhooks are in the shared store."""

from pathlib import Path

import click

from relay.cli import NotDone
from relay.cli.options import asynchronous
from relay.cli.output import counted
from relay.cli.store import store_option
from relay.operations import upkeep
from relay.store.open import StoreUrl


@click.group("spool")
def spool() -> None:
    """Forward what a relay that is gone has left in its spool.

    \b
    relay spool drain relay-spool.db --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@spool.command("drain")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@store_option
@asynchronous
async def drain(file: Path, store_url: StoreUrl) -> None:
    """Forward the webhooks of a spool to --store, as its relay would.

    For the disk of a machine that does not come back. Repeated, it goes on where it ended; nothing is kept twice.

    \b
    relay spool drain relay-spool.db --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    forwarded, refused = await upkeep.drain(file, store_url, emit=lambda _signal: None)
    click.echo(f"{file}: {counted(forwarded, 'webhook')} forwarded")
    if refused:
        raise NotDone(f"{counted(refused, 'webhook')} stay in {file}: the store refuses them")
