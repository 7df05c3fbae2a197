"""`relay forget`: a person's entity and id -> every copy of the data erased, and what is out of reach."""

from collections.abc import Sequence

import click

from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, counted, note, print_document, put, table
from relay.operations.documents.erasure import ForgetDocument
from relay.operations.forget import FORGET, Forget


@click.command("forget")
@click.option("--entity", required=True, metavar="WORD", help="amoCRM's word: contacts, companies, leads, customers, …")
@click.option("--id", "id_", required=True, metavar="ID", help="Its id in amoCRM.")
@click.option(
    "--also",
    multiple=True,
    metavar="WHAT",
    help="Take in what the listing shows, as leads/5, or an event or a webhook by its whole id; may be repeated.",
)
@click.option("--source", default="", metavar="NAME", help="Only webhooks of this source: ids are of one account.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--now", is_flag=True, help="Rewrite the store at once, and wait until its files hold nothing of it.")
@place_options
@json_option
@asynchronous
async def forget(
    entity: str,
    id_: str,
    also: Sequence[str],
    source: str,
    dry_run: bool,
    now: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Erase the data of a person.

    Erases what bodies, events, attempts, enrichments, healing, spools, the archive and notes of operators say of it:
    the events about it, and messages, talks, tasks and notes that hang on it. Ids remain. A body with several entities
    loses only that one's part. What is pending becomes dead with the reason erased. Then others are listed that have
    the same phone, mail or name; --also takes them in.

    The receipt is the entry in relay audit. It names where copies may be that no relay can erase.

    \b
    relay forget --entity contacts --id 777 --dry-run
    relay forget --entity contacts --id 777 --also leads/4831596 --now
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    asked = Forget(entity=entity, id=id_, also=tuple(also), source=source, dry_run=dry_run, now=now)
    async with place.desk() as desk:
        done = await desk.ask(FORGET, asked)
    if as_json:
        print_document(done)
    else:
        _print(done)


def _print(done: ForgetDocument) -> None:
    if done.events:
        types = table("TYPE", "EVENTS", right=("EVENTS",))
        for name, number in sorted(done.events.items()):
            types.add_row(cell(name), cell(number))
        put(types)
    erased = "would erase" if done.dry_run else "erased"
    events = counted(sum(done.events.values()), "event")
    click.echo(f"{erased} {events} of {', '.join(done.who)} in {counted(done.webhooks, 'webhook')}")
    rewritten = ("", "") if done.dry_run else (" was rewritten", " were rewritten")
    for number, one, several in (
        (len(done.shared), "of these webhooks keeps the part of others", "of these webhooks keep the part of others"),
        (
            done.dead,
            "pending delivery is dead with the reason erased",
            "pending deliveries are dead with the reason erased",
        ),
        (sum(done.texts.values()), "other text was blanked", "other texts were blanked"),
        (done.archived, f"archived webhook{rewritten[0]}", f"archived webhooks{rewritten[1]}"),
    ):
        if number:
            click.echo(counted(number, one, several))
    if done.emptied:
        note(f"could not be cut, so that others in them lose their body, too: {', '.join(done.emptied)}")
    if done.others:
        others = table("ALSO", "TYPE", "EVENTS", "SAME", right=("EVENTS",))
        for each in done.others:
            others.add_row(cell(each.also), cell(each.type), cell(each.events), cell(", ".join(each.same)))
        note("the same phone, mail or name have, and stay unless --also names them:")
        put(others)
    if done.waits_for:
        note(f"not complete yet, waits for {', '.join(done.waits_for)}")
    note(f"out of reach: {'; '.join(done.out_of_reach)}")
