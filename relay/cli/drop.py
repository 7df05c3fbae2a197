"""`relay drop`: a target that is gone -> what is pending for it is dead, and its alerts end."""

import click

from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import note, print_document
from relay.operations.drop import DROP, Drop


@click.command("drop")
@click.option("--target", required=True, metavar="NAME", help="The target, which the routes file no longer has.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@place_options
@json_option
@asynchronous
async def drop(target: str, dry_run: bool, place: Place, as_json: bool) -> None:
    """Give up what is pending for a target that is gone.

    A target that was removed from the routes file leaves its deliveries pending: orphaned, and alarmed about. This
    makes them dead with the reason dropped, and dismisses them with what is dead of the target already, so that
    retention purges them. If the target comes back, relay replay --target NAME --dismissed sends them after all.

    \b
    relay drop --target old-handler --dry-run
    relay drop --target old-handler
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        done = await desk.ask(DROP, Drop(target=target, dry_run=dry_run))
    if as_json:
        print_document(done)
        return
    dropped, dismissed = ("would drop", "dismiss") if dry_run else ("dropped", "dismissed")
    click.echo(f"{dropped} {done.dropped} pending, {dismissed} {done.dismissed} dead")
    if done.paused:
        note(f"{target} is still paused: relay resume {target}")
