"""`relay pause`, `relay resume`: a target's name -> its deliveries wait, or go on."""

from pathlib import Path

import click

from relay.cli import NotDone
from relay.cli.options import act, asynchronous, config_option, load_to_look, store_option, unusable, visiting
from relay.cli.output import note
from relay.cli.values import Words
from relay.errors import RoutesInvalid
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import Archive, Filter


@click.command("pause")
@click.argument("target")
@click.option(
    "--reason", type=Words(500), default="", metavar="TEXT", help="For whoever reads relay status or relay audit."
)
@config_option
@store_option
@asynchronous
async def pause(target: str, reason: str, config_path: Path, store_path: Path) -> None:
    """Let a target's deliveries wait.

    They spend no attempts and are kept, over restarts too, until relay resume. What is in flight ends; a running
    daemon begins nothing more within a second.

    \b
    relay pause warehouse --reason "upgrade until 18:00"
    relay status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_path) as store:
        await _demand_known(store, target, config_path)
        changed = await store.pause(target, act("pause", {"target": target, "reason": reason}))
    click.echo(f"{target} is paused" if changed else f"{target} was paused before: see relay status")


@click.command("resume")
@click.argument("target")
@store_option
@asynchronous
async def resume(target: str, store_path: Path) -> None:
    """Let a paused target's deliveries go on.

    \b
    relay resume warehouse
    relay resume warehouse --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with visiting(store_path) as store:
        changed = await store.resume(target, act("resume", {"target": target}))
    if not changed:
        raise NotDone(f"{target} is not paused: see relay status")
    click.echo(f"{target} goes on")


async def _demand_known(store: Archive, target: str, config_path: Path) -> None:
    """A mistyped name would pause nothing, and nobody would notice."""
    known = {*_routed(config_path), *(await store.status()).targets}
    if target not in known and not await store.find(Filter(target=target), limit=1):
        raise NotDone(f"no target {quoted(target)} {suggestion(target, sorted(known))}")


def _routed(config_path: Path) -> set[str]:
    """The targets of the routes file; without one, those that the store knows can be paused all the same."""
    try:
        return set(load_to_look(config_path).targets)
    except RoutesInvalid as invalid:
        note(unusable(config_path, invalid))
        return set()
