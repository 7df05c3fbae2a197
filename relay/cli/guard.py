"""`relay guard`: what an operator tells the guard of a source's webhook in amoCRM."""

from pathlib import Path

import click

from relay.cli.options import asynchronous
from relay.cli.routes_file import config_option, load_with_stand_ins
from relay.cli.store import operator, store_option, visiting
from relay.operations import clock, subscriptions
from relay.store.open import StoreUrl


@click.group("guard")
def guard() -> None:
    """Have the guard go on after a webhook was switched off.

    \b
    relay guard resume crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@guard.command("resume")
@click.argument("source")
@config_option
@store_option
@asynchronous
async def resume(source: str, config_path: Path, store_url: StoreUrl) -> None:
    """Have the guard switch the webhook of a source on, once, whoever switched it off.

    It does so by itself only after failed answers of ours. Needs guard: {reenable: true}, and a relay that runs.

    \b
    relay guard resume crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path)
    async with visiting(store_url) as store:
        await subscriptions.resume(store, config, source, by=operator(), now=clock.now(store))
    click.echo(f"the guard switches the webhook of {source} on at its next look, within 5 minutes: see relay status")
