"""`relay story ENTITY ID`: one lead, contact, … -> its events by time, against the targets."""

import click
from rich.text import Text

from relay.cli.desk import Place, listed, place_options, print_listing, put_rest
from relay.cli.errors_shown import error
from relay.cli.flag_types import Whole
from relay.cli.options import ListingCommand, asynchronous, listing_json_option
from relay.cli.output import STYLES, cell, is_wide, note, put, starts, table
from relay.cli.times import Times
from relay.errors import BadCursor
from relay.model import State
from relay.model.event_names import as_line
from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.documents.events import StoryEventDocument, StoryListing
from relay.operations.story import STORY, Story


@click.command("story", cls=ListingCommand)
@click.argument("entity", metavar="ENTITY")
@click.argument("id_", metavar="ID")
@click.option("--limit", type=Whole(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many.")
@click.option("--before", metavar="CURSOR", help="Page on: the cursor below the page before.")
@place_options
@listing_json_option
@asynchronous
async def story(entity: str, id_: str, limit: int, before: str | None, place: Place, as_json: str | None) -> None:
    """Show what became of the events of one lead or contact.

    A line for each of its events, newest first, and a column for each target.

    \b
    relay story leads 4831596
    relay story contacts 7730011 --json
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    try:
        async with place.desk() as desk:
            found = await listed(desk, STORY, Story(entity=entity, id=id_, before=before), limit)
    except BadCursor as bad:
        raise click.BadParameter(str(bad), param_hint="--before") from bad
    if as_json:
        print_listing(found, as_json, "--before")
        return
    if found.data:
        _print(found)
    elif found.next is None:
        note(f"no events of {entity} {id_}")
    put_rest(found, "--before")


def _print(found: StoryListing) -> None:
    targets = sorted({each.target for one in found.data for each in one.deliveries})
    ids = {} if is_wide() else starts([each.event for each in found.data])
    times = Times(each.received_at for each in found.data)
    named = any(each.names for each in found.data)
    columns = [times.heading("ARRIVED"), "EVENT", *(["IN AMOCRM"] if named else []), *targets, "ID"]
    shown = table(*columns, folds=("EVENT", "IN AMOCRM", *targets))
    for each in found.data:
        deliveries = {one.target: one for one in each.deliveries}
        shown.add_row(
            cell(times.cell(each.received_at)),
            cell(_about(each)),
            *([cell(as_line(each.names))] if named else []),
            *(_became(deliveries.get(target)) for target in targets),
            cell(ids.get(each.event, each.event)),
        )
    put(shown)


def _about(event: StoryEventDocument) -> str:
    if event.corrupt:
        return "corrupt, see relay verify"
    healed = " (healed)" if event.healed else ""
    return f"{event.action}{healed}{'' if event.deliveries else ': no route'}"


def _became(delivery: DeliveryDocument | None) -> Text:
    """`delivered`, `dead: 400`, `pending: attempt 3 in 4 min; 503: busy`; `-`: no delivery."""
    if delivery is None:
        return cell("-")
    more = [delivery.next_step, error(delivery.last_attempt)] if delivery.state is not State.DELIVERED else []
    if delivery.state is State.DELIVERED and delivery.attempt > 1:
        more = [f"attempt {delivery.attempt}"]
    if delivery.state is State.DEAD and not more[1]:
        more = [delivery.why]
    told = "; ".join(filter(None, more))
    return cell(f"{delivery.state}: {told}" if told else delivery.state, STYLES.get(delivery.state, ""))
