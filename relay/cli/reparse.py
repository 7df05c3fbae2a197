"""`relay reparse`: unparsed webhooks -> what today's code and routes make of them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from uuid_utils import uuid7

from relay.amocrm import events, form
from relay.cli import NotDone
from relay.cli.filters import named, pages
from relay.cli.options import act, asynchronous, config_option, load_to_look, store_option, visiting
from relay.errors import UnreadableError
from relay.model import RoutedEvent, Webhook
from relay.printable import printable
from relay.store.contract import Archive

if TYPE_CHECKING:
    from relay.routes.config import Config

PAGE = 100


@click.command("reparse")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--charset",
    type=click.Choice([*form.CHARSETS], case_sensitive=False),
    metavar="NAME",
    help="Read the bodies in this charset, cp1251 for example.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would become of each.")
@config_option
@store_option
@asynchronous
async def reparse(ids: Sequence[str], charset: str | None, dry_run: bool, config_path: Path, store_path: Path) -> None:
    """Read unparsed webhooks again, with today's code and routes.

    All of them, or those whose ids (or starts of ids) are given. Ends with 1 if some stay unparsed.

    \b
    relay reparse --dry-run
    relay reparse 01998f2e-7d3a-7c31 --charset cp1251
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_to_look(config_path)
    read = left = 0
    done = act("reparse", {"ids": [*ids], "charset": charset})
    async with visiting(store_path) as store:
        async for webhook in _chosen(store, ids):
            fate = _read(webhook, config, charset)
            if isinstance(fate, str):
                left += 1
            else:
                read += 1
                if not dry_run:
                    await store.reparse(webhook, fate, done)
            click.echo(f"{webhook.id}  {printable(_said(fate))}")
    click.echo(f"{read} {'can be read' if dry_run else 'read'}, {left} left unparsed")
    if left:
        raise click.exceptions.Exit(1)


async def _chosen(store: Archive, ids: Sequence[str]) -> AsyncIterator[Webhook]:
    """The unparsed webhooks with these ids; all, page by page, without ids."""
    for id_ in ids:
        webhook = (await named(store, id_))[0].webhook
        if webhook.unparsed is None:
            raise NotDone(f"{webhook.id} is not unparsed: see relay show")
        yield webhook
    if not ids:
        async for page in pages(lambda after: store.unparsed(limit=PAGE, after=after)):
            for webhook in page:
                yield webhook


def _read(webhook: Webhook, config: "Config", charset: str | None) -> list[RoutedEvent] | str:
    """What the webhook owes by now, or why it stays unparsed."""
    from relay.routes.plan import plan

    if webhook.corrupt:
        return "its body in the store is not what came, see relay verify"
    try:
        tree = form.decode(webhook.body, webhook.content_type, charset=charset)
        found = events.read(
            tree,
            source=webhook.source,
            received_at=webhook.received_at,
            new_id=lambda: str(uuid7()),
            query=webhook.query,
        )
        source = config.sources.get(webhook.source)
        if source and (why := source.stranger(found[0].account)):  # while it was unreadable, nobody knew whose it was
            return why
        return [plan(event, config) for event in found]
    except UnreadableError as unreadable:
        return str(unreadable)
    except Exception as error:  # noqa: BLE001  a fault of ours with one webhook must not stop the rest
        return f"a fault of the relay: {error!r}"


def _said(fate: list[RoutedEvent] | str) -> str:
    if isinstance(fate, str):
        return f"unparsed: {fate}"
    deliveries = sum(len(each.planned) for each in fate)
    return f"{len(fate)} event{'s' * (len(fate) != 1)}, {deliveries} {'delivery' if deliveries == 1 else 'deliveries'}"
