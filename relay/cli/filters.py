"""The flags that narrow a listing or a replay -> a `Which`."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import click

from relay.cli.known_names import RouteName, TargetName
from relay.cli.times import Instant, local
from relay.model import State
from relay.operations.which import Which

T = TypeVar("T")

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
        **others: Any,
    ) -> T:
        if since is not None and until is not None and until <= since:
            raise click.UsageError(f"nothing arrives between --since {local(since)} and --until {local(until)}")
        wanted = Which(
            target=target,
            route=route,
            entity=entity,
            action=action,
            id=entity_id,
            pipeline=pipeline_id,
            since=since,
            until=until,
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
