"""`relay acts`: the long acts of relays -> their progress and results; `relay acts stop` stops one."""

import click

from relay.cli.desk import Place, place_options, print_listing, put_rest
from relay.cli.flag_types import Whole
from relay.cli.options import ListingCommand, asynchronous, in_arguments, json_option, listing_json_option
from relay.cli.output import cell, clipped, json_text, labelled, note, print_document, put, state, table
from relay.cli.times import Times, local
from relay.operations.acts import ACT, ACTS, STOP_ACT, ActsAsked, OneAct
from relay.operations.documents.acts import ActDocument, ActState
from relay.operations.which import MAX_PAGE


class ActsCommand(ListingCommand, click.Group):
    """A group that lists where no command of it is named."""


@click.group("acts", cls=ActsCommand, invoke_without_command=True)
@click.option("--running", is_flag=True, help="Only those that are under way.")
@click.option("--limit", type=Whole(1, MAX_PAGE), default=50, show_default=True, metavar="N", help="At most so many.")
@place_options
@listing_json_option
@click.pass_context
def acts(context: click.Context, running: bool, limit: int, place: Place, as_json: str | None) -> None:
    """List long acts of relays, newest first; show or stop one.

    Replays, purges and others that were asked of a relay, by --relay, its API or its pages: who, when, and whether
    they are running, done, failed, stopped, or interrupted as their relay ended. A relay keeps its last 50; what was
    done before, or by a command beside the store, is in relay audit.

    \b
    relay acts --running
    relay acts show ID
    relay acts stop ID --relay https://relay.example
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if context.invoked_subcommand is None:
        _list(running, limit, place, as_json)
    elif given := [each for each in context.params if in_arguments(each)]:
        flag = next(each.opts[0] for each in context.command.params if each.name == given[0])
        raise click.UsageError(f"{flag} stands behind {context.invoked_subcommand}, with its ID")


@asynchronous
async def _list(running: bool, limit: int, place: Place, as_json: str | None) -> None:
    asked = ActsAsked(state=(ActState.RUNNING,) if running else (), limit=limit)
    async with place.desk() as desk:
        found = await desk.ask(ACTS, asked)
    if as_json:
        print_listing(found, as_json, "--limit")
        return
    times = Times(each.began_at for each in found.data)
    columns = ("ACT", "STATE", "COUNT", "WHO", "ID", "ASKED", "WHY")
    shown = table(times.heading("BEGUN"), *columns, right=("COUNT",), folds=columns[-2:])
    for each in found.data:
        shown.add_row(
            times.cell(each.began_at),
            cell(_name(each)),
            state(each.state),
            cell("-" if each.count is None else each.count),
            cell(each.who),
            cell(each.act),
            cell(clipped(each.asked)),
            cell(each.problem.get("detail") if each.problem else ""),
        )
    if found.data:
        put(shown)
    else:
        note("no act is under way" if running else "no long act of late; see relay audit")
    put_rest(found, "--limit")


@acts.command("show")
@click.argument("act", metavar="ID")
@place_options
@json_option
@asynchronous
async def show(act: str, place: Place, as_json: bool) -> None:
    """Show the progress and the result of an act.

    Only its relay has the result, until that relay ends: ask it with --relay. An act that a command did beside the
    store is known from the audit alone, and reads as done.

    \b
    relay acts show 019ab1c0-0000-7000-8000-00000000000a
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        found = await desk.ask(ACT, OneAct(act=act))
    if as_json:
        print_document(found)
    else:
        _print(found)


@acts.command("stop")
@click.argument("act", metavar="ID")
@place_options
@json_option
@asynchronous
async def stop(act: str, place: Place, as_json: bool) -> None:
    """Stop an act that is under way; what it has done stays.

    It needs --relay, the one that does the act. The act goes on if it is asked for again with its key. A forget is not
    stopped. An act of a command ends by Ctrl-C where that runs.

    \b
    relay acts stop 019ab1c0-0000-7000-8000-00000000000a --relay https://relay.example
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        found = await desk.ask(STOP_ACT, OneAct(act=act))
    if as_json:
        print_document(found)
    else:
        click.echo(f"{found.operation} is {found.state}: what was done stays")


def _print(found: ActDocument) -> None:
    put(cell(f"{_name(found)}  {found.act}", "bold"))
    at = f" at the relay {found.relay}" if found.relay else ""
    ended = f", ended {local(found.ended_at, seconds=True)}" if found.ended_at else ""
    put(labelled("state", f"{found.state}{at}"), indent=2)
    put(labelled("begun", f"{local(found.began_at, seconds=True)}{ended}"), indent=2)
    facts = (("who", found.who), ("asked", found.asked), ("count", found.count))
    for name, value in facts:
        if value not in ("", None):
            put(labelled(name, str(value)), indent=2)
    if found.problem:
        put(labelled("why", str(found.problem.get("detail")), "red"), indent=2)
    if found.document is not None:
        put(*(cell(line) for line in json_text(found.document).splitlines()), indent=2)


def _name(found: ActDocument) -> str:
    return f"{found.operation} (dry run)" if found.dry_run else found.operation
