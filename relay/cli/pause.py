"""`relay pause`: a target's name -> no more attempts at it until `relay resume`."""

from pathlib import Path

import click

from relay.cli.flag_types import Words
from relay.cli.options import asynchronous
from relay.cli.output import note
from relay.cli.routes_file import config_option, load_with_stand_ins, unusable
from relay.cli.store import operator, store_option, visiting
from relay.errors import RoutesInvalid
from relay.operations import clock
from relay.operations import pause as operation
from relay.store.open import StoreUrl


@click.command("pause")
@click.argument("target")
@click.option(
    "--reason", type=Words(500), default="", metavar="TEXT", help="For whoever reads relay status or relay audit."
)
@config_option
@store_option
@asynchronous
async def pause(target: str, reason: str, config_path: Path, store_url: StoreUrl) -> None:
    """Pause deliveries to a target.

    They stay pending and spend no attempts, over restarts too, until relay resume. Attempts in flight finish; a running
    daemon starts no more within a second.

    \b
    relay pause warehouse --reason "upgrade until 18:00"
    relay status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_url) as store:
        changed = await operation.pause(
            store, target, reason=reason, routed=_routed(config_path), by=operator(), now=clock.now(store)
        )
    click.echo(f"{target} is paused" if changed else f"{target} was already paused: see relay status")


def _routed(config_path: Path) -> set[str]:
    """The targets of the routes file; if it cannot be used, those that the store knows can still be paused."""
    try:
        return set(load_with_stand_ins(config_path).targets)
    except RoutesInvalid as invalid:
        note(unusable(config_path, invalid))
        return set()
