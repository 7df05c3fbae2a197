"""`relay connect`, `relay disconnect`: a source -> its webhook in amoCRM is set up by the API, or deleted."""

from dataclasses import asdict
from pathlib import Path

import click

from relay.account.opening import asking
from relay.cli.options import asynchronous, json_option
from relay.cli.output import counted, labelled, print_json, put
from relay.cli.routes_file import config_option, load
from relay.cli.store import account_records, operator, store_option, visiting
from relay.model import HealMode
from relay.operations import clock, subscriptions
from relay.operations.subscriptions import Connected
from relay.store.open import StoreUrl


@click.command("connect")
@click.argument("source")
@config_option
@store_option
@json_option
@asynchronous
async def connect(source: str, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Set the webhook of a source up in amoCRM, by its API.

    With the events that the routes need. Settings that it has already stay, and webhooks of others are not touched.
    What no webhook brings (mail, incoming leads, the digital pipeline) is listed, with what to click for it.

    \b
    relay connect crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load(config_path)
    account = subscriptions.watched_source(config, source).account or ""
    records = account_records(store_url)
    async with (
        visiting(store_url) as store,
        asking(config.accounts[account], records, clock=lambda: clock.now(store)) as api,
    ):
        done = await subscriptions.connect(store, config, source, api, by=operator(), now=clock.now(store))
    if as_json:
        print_json({"source": source, **asdict(done)})
        return
    _show(source, done)
    if config.sources[source].heal.mode is HealMode.OFF:
        put("", f"next: `heal: report` in sources.{source} counts what webhooks never brought, and sends nothing")


def _show(source: str, done: Connected) -> None:
    put(
        labelled("account", done.account),
        labelled("posts to", done.address),
        labelled("events", ", ".join(done.settings)),
    )
    if done.removed:
        put(labelled("removed", f"{counted(done.removed, 'webhook')} of another token of {source}"))
    if done.unsupported:
        put(labelled("not taken", f"this account has no events {', '.join(done.unsupported)}", "yellow"))
    if done.beyond:
        put(
            "",
            f"No subscription brings {', '.join(done.beyond)}, which routes name. Paste the address with its token for",
            "the digital pipeline in amoCRM: Leads, Automate, a stage, API: Send webhook; for incoming leads and",
            "catalogs: Settings, Integrations, Web hooks.",
        )


@click.command("disconnect")
@click.argument("source")
@config_option
@store_option
@json_option
@asynchronous
async def disconnect(source: str, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Delete the webhook of a source in amoCRM.

    The guard leaves the source alone until it is connected again. Triggers of the digital pipeline go
    on posting: the API does not show them.

    \b
    relay disconnect crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load(config_path)
    account = subscriptions.watched_source(config, source).account or ""
    records = account_records(store_url)
    async with (
        visiting(store_url) as store,
        asking(config.accounts[account], records, clock=lambda: clock.now(store)) as api,
    ):
        removed = await subscriptions.disconnect(store, config, source, api, by=operator(), now=clock.now(store))
    if as_json:
        print_json({"source": source, "removed": removed})
    else:
        gone = f"{source}: {counted(removed, 'webhook')} deleted in amoCRM"
        click.echo(gone if removed else f"{source} had no webhook")
