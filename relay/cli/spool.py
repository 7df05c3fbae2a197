"""`relay spool`: the spool of a relay that is gone -> its webhooks are in the shared store, or given up."""

from pathlib import Path

import click

from relay.cli import NotDone
from relay.cli.options import asynchronous, json_option
from relay.cli.output import counted, print_json
from relay.cli.relay_table import NAME
from relay.cli.store import insecure_option, operator, store_option
from relay.operations import upkeep
from relay.printable import printable
from relay.store.open import StoreUrl


@click.group("spool")
def spool() -> None:
    """Forward or give up what a relay that is gone has left in its spool.

    \b
    relay spool drain relay-spool.db --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@spool.command("drain")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@store_option
@insecure_option
@json_option
@asynchronous
async def drain(file: Path, store_url: StoreUrl, insecure_durability: bool, as_json: bool) -> None:
    """Forward the webhooks of a spool to --store, as its relay would.

    For the disk of a machine that does not come back, where that file is. Repeated, it goes on where it ended; nothing
    is kept twice.

    \b
    relay spool drain relay-spool.db --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    durable = not insecure_durability
    forwarded, refused = await upkeep.drain(file, store_url, by=operator(), durable=durable, emit=lambda _signal: None)
    if as_json:
        print_json({"file": str(file), "forwarded": forwarded, "refused": refused})
    else:
        click.echo(f"{file}: {counted(forwarded, 'webhook')} forwarded")
    if refused:
        raise NotDone(f"{counted(refused, 'webhook')} stay in {file}: the store refuses them")


@spool.command("forget")
@click.argument("name")
@store_option
@json_option
@asynchronous
async def forget(name: str, store_url: StoreUrl, as_json: bool) -> None:
    """Give up the spool of a relay that is gone, its disk with it.

    NAME is what relay status shows, or more of the relay's name. Webhooks of that spool are delivered to nobody: drain
    its file instead if it is still there. The relay is listed no more; one that comes back forwards its spool all the
    same. Refused while the relay lives.

    \b
    relay spool forget 3f2c5a9e --store postgresql://relay@db1,db2/relay
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    given_up = await upkeep.forget_spool(name, store_url, by=operator())
    number = given_up.webhooks
    if as_json:
        print_json({"relay": given_up.relay, "host": given_up.host, "webhooks": number})
        return
    what = "an unknown number of webhooks" if number is None else counted(number, "webhook")
    click.echo(printable(f"relay {given_up.relay[:NAME]} on {given_up.host}: gave up its spool, with {what}"))
