"""The flags that narrow a listing or a replay -> a `Which`."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import click

from relay.cli.known_names import RouteName, TargetName
from relay.cli.times import Instant, check_span
from relay.model import Reason, State
from relay.operations.which import Which

T = TypeVar("T")


def reason_option(which: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--reason`."""

    def reason(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Reason | None:
        return None if value is None else Reason(value)

    choice = click.Choice([each.value for each in Reason])
    text = f"{which}: 5xx, timeout, connect, …"
    return click.option("--reason", type=choice, callback=reason, metavar="WORD", help=text)


_OPTIONS = (
    click.option("--target", type=TargetName(), metavar="NAME", help="Deliveries to this target."),
    click.option("--route", type=RouteName(), metavar="NAME", help="Deliveries by this route."),
    click.option("--entity", metavar="WORD", help="About leads, contacts, companies, task, …"),
    click.option("--action", metavar="WORD", help="status, add, update, note, …"),
    click.option("--id", "entity_id", metavar="ID", help="About the lead, contact, … with this id."),
    click.option("--pipeline", "pipeline_id", metavar="ID", help="In this pipeline."),
    click.option(
        "--since",
        type=Instant(),
        metavar="TIME",
        help="Arrived then or later: 2026-11-22T10:00, 10:00, yesterday, or an age like 2h. Local, unless with a zone.",
    ),
    click.option("--until", type=Instant(), metavar="TIME", help="Arrived before then."),
    click.option("--source", metavar="NAME", help="Of webhooks of this source."),
    click.option("--account", metavar="ID", help="Of webhooks of this account: its id or its subdomain."),
    reason_option("The last attempt ended so"),
    click.option("--settled-since", type=Instant(), metavar="TIME", help="Delivered, or dead, then or later."),
    click.option("--settled-until", type=Instant(), metavar="TIME", help="Delivered, or dead, before then."),
)


def filtered(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command these flags as one argument `wanted`."""

    @wraps(command)
    def run(
        *,
        target: str | None,
        route: str | None,
        entity: str | None,
        action: str | None,
        entity_id: str | None,
        pipeline_id: str | None,
        since: datetime | None,
        until: datetime | None,
        source: str | None,
        account: str | None,
        reason: Reason | None,
        settled_since: datetime | None,
        settled_until: datetime | None,
        **others: Any,
    ) -> T:
        check_span(since, until, "nothing arrives")
        check_span(settled_since, settled_until, "nothing is settled", "settled-")
        wanted = Which(
            target=target,
            route=route,
            entity=entity,
            action=action,
            id=entity_id,
            pipeline=pipeline_id,
            source=source,
            account=account,
            reason=reason,
            since=since,
            until=until,
            settled_since=settled_since,
            settled_until=settled_until,
        )
        return command(wanted=wanted, **others)

    decorated: Callable[..., T] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


dismissed_option = click.option("--dismissed", is_flag=True, help="Only what is dismissed: see relay dismiss.")


def state_option(*states: State, text: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--state`, which may be given several times."""
    choice = click.Choice([each.value for each in states])
    return click.option("--state", "states", type=choice, metavar="STATE", multiple=True, help=text)
