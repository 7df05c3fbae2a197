"""`relay resume`: the name of a paused target -> attempts at it go on."""

from pathlib import Path

import click

from relay.cli.options import asynchronous
from relay.cli.routes_file import config_option, config_or_none
from relay.cli.store import operator, store_option, visiting
from relay.operations import clock, pause
from relay.store.open import StoreUrl


@click.command("resume")
@click.argument("target")
@config_option
@store_option
@asynchronous
async def resume(target: str, config_path: Path, store_url: StoreUrl) -> None:
    """Resume deliveries to a paused target.

    \b
    relay resume warehouse
    relay resume warehouse --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = config_or_none(config_path)
    async with visiting(store_url) as store:
        await pause.resume(store, target, routed=config.targets if config else (), by=operator(), now=clock.now(store))
    click.echo(f"{target} is resumed")
