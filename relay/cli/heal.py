"""`relay heal`: what amoCRM's own history told beside the webhooks, and what is done about it."""

import asyncio
from datetime import datetime

import click
import orjson

from relay.cli import NotDone
from relay.cli.desk import AnyDesk, Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, counted, labelled, note, print_document, print_json, put, table
from relay.cli.times import Instant, Times, local
from relay.model import Json
from relay.operations.documents.heals import HealRunDocument, SourceHealingDocument
from relay.operations.heals import HEAL, HEAL_APPROVE, HEAL_RUN, HEALED, Healing, HealRun, HealRunOf, OneSource

_LISTS = {"unsorted": "incoming leads", "tasks": "tasks"}

PATIENCE = 150.0  # seconds: the relay looks for requests once a minute
LOOK_EVERY = 0.5  # seconds between two looks for an answer


@click.group("heal")
def heal() -> None:
    """Look for changes of which no webhook came, and let them be healed.

    \b
    relay heal status
    relay heal run crm --since 1h --dry-run
    relay heal approve crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@heal.command("status")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@place_options
@json_option
@asynchronous
async def status(sources: tuple[str, ...], place: Place, as_json: bool) -> None:
    """Show what was found of each source that heals.

    What of the last seven days a webhook told of, what was healed, would be, waits for an approval, or cannot be
    healed, and why; and which events of its routes are not healed at all. The triggers of the digital pipeline that
    have posted are shown as heal.dp of the routes file has them: the API does not list them.

    \b
    relay heal status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        found = await desk.ask(HEAL, Healing(source=sources))
    if as_json:
        print_document(found)
    elif not found.sources:
        note("no source heals: write `heal: report` in a source that has an account")
    for each in () if as_json else found.sources:
        _print(each)


def _print(report: SourceHealingDocument) -> None:
    put(cell(f"{report.source}  {report.mode}", "bold"))
    upto = min((at for lane, at in report.scanned_upto.items() if lane not in report.behind), default=None)
    scanned = f"up to {local(upto, seconds=True)}" if upto else "not yet"
    blocked = f"{', and no further' if upto else ''}: waits for {report.waits_for}" if report.waits_for else ""
    put(labelled("scanned", f"{scanned}{blocked}"), indent=2)
    if report.held_since:
        since = local(report.held_since, seconds=True)
        put(labelled("held", f"nothing after {since} is decided: a relay's spool may have its webhooks"), indent=2)
    for name, at in report.behind.items():
        read = f"read up to {local(at, seconds=True)}" if at else "never read"
        put(labelled("behind", f"the list of {_LISTS[name]}: {read}, as if the account refuses it"), indent=2)
    if report.waiting:
        until = f", the first until {local(report.waiting_until)}" if report.waiting_until else ""
        put(
            labelled("waiting", f"{counted(report.waiting, 'event')}{until}: relay heal approve {report.source}"),
            indent=2,
        )
    if report.found:
        times = Times(each.newest_at for each in report.found)
        shown = table("EVENT", "STATE", "EXACTNESS", "NUMBER", times.heading("NEWEST"), "REASON", right=("NUMBER",))
        for each in report.found:
            cells = (each.action, each.state, each.exactness or "-", each.number)
            shown.add_row(*map(cell, cells), times.cell(each.newest_at), cell(each.reason))
        put(shown, indent=2)
    if report.not_healed:
        shown = table("NOT HEALED", "REASON")
        for kind in report.not_healed:
            shown.add_row(cell(", ".join(kind.types)), cell(kind.reason))
        put(shown, indent=2)
    if report.triggers:
        put(cell("triggers that have posted, as heal.dp:"), indent=2)
        for trigger in report.triggers:
            put(cell(f"- {orjson.dumps(trigger).decode()}"), indent=4)


@heal.command("run")
@click.argument("source")
@click.option(
    "--since", type=Instant(), required=True, metavar="TIME", help="Look at changes from then on: 2h, 2026-11-22T10:00."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be healed.")
@place_options
@json_option
@asynchronous
async def run(source: str, since: datetime, dry_run: bool, place: Place, as_json: bool) -> None:
    """Have the running relay look once more at what happened since.

    Also at what was lost while somebody had switched the webhook off. With heal: report nothing is sent. The relay
    does it within a minute or two; this command waits for it.

    \b
    relay heal run crm --since 2h --dry-run
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        asked = await desk.ask(HEAL_RUN, HealRun(source=source, since=since, dry_run=dry_run))
        if asked.waits_for:
            raise NotDone(asked.waits_for)
        done = await _done(desk, asked.id)
    if as_json:
        print_json({"error": done.error} if done.error else done.answer)
    if done.error:
        raise NotDone(f"not done: {done.error}")
    if not as_json:
        _print_answer(done.answer)


async def _done(desk: AnyDesk, id_: str) -> HealRunDocument:
    """Look for the answer; NotDone if there is none within `PATIENCE`."""
    try:
        async with asyncio.timeout(PATIENCE):
            while (found := await desk.ask(HEALED, HealRunOf(id=id_))).answer is None:  # noqa: ASYNC110  another process answers
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        raise NotDone("not done yet: the relay does it once the account's API answers; see relay status") from None
    return found


def _print_answer(answer: Json) -> None:
    shown = table("EVENT", "STATE", "EXACTNESS", "NUMBER", right=("NUMBER",))
    for each in answer.get("found", ()):
        shown.add_row(*(cell(each.get(name) or "-") for name in ("action", "state", "exactness", "number")))
    if answer.get("found"):
        put(shown)
    else:
        note("nothing was found")
    for stopped in answer.get("stopped", ()):
        note(f"{stopped} stopped by itself: too much of it would be healed, see docs/amocrm.md")


@heal.command("approve")
@click.argument("source")
@place_options
@json_option
@asynchronous
async def approve(source: str, place: Place, as_json: bool) -> None:
    """Let events be healed that wait for it.

    More than heal.most of a source within a day wait, for so much was never lost before: look at relay heal status
    first. They are sent with the next scan.

    \b
    relay heal approve crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        done = await desk.ask(HEAL_APPROVE, OneSource(source=source))
    if as_json:
        print_document(done)
    else:
        click.echo(f"{source}: {counted(done.approved, 'event')} approved")
