"""`relay resume`: the name of a paused target -> attempts at it go on."""

from datetime import UTC, datetime

import click

from relay.cli.options import asynchronous
from relay.cli.store import operator, store_option, visiting
from relay.operations import pause
from relay.store.open import StoreUrl


@click.command("resume")
@click.argument("target")
@store_option
@asynchronous
async def resume(target: str, store_url: StoreUrl) -> None:
    """Resume deliveries to a paused target.

    \b
    relay resume warehouse
    relay resume warehouse --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_url) as store:
        await pause.resume(store, target, by=operator(), now=datetime.now(UTC))
    click.echo(f"{target} is resumed")
