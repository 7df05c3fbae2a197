"""The webhooks in amoCRM that are watched -> a line of `relay status` for each."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from relay.cli.output import labelled
from relay.cli.times import short
from relay.model.subscription import SubscriptionState
from relay.operations.documents.status import StatusDocument, SubscriptionDocument
from relay.operations.durations import ago

STYLES = {SubscriptionState.OK: "", SubscriptionState.API_AWAY: "yellow"}


def subscriptions(status: StatusDocument) -> Iterator[Table]:
    """What the guard saw last, and what to do; since when, if it is nothing good."""
    for source, each in status.subscriptions.items():
        yield labelled("in amoCRM", f"{source}: {_said(source, each, status.at)}", _style(each))
        if each.detail and each.guarded:
            yield labelled("", each.detail)


def _said(source: str, shown: SubscriptionDocument, now: datetime) -> str:
    if not shown.guarded:
        return f"disconnected, and not watched: relay connect {source}"
    if shown.state is None or shown.checked_at is None:
        return "not looked at yet"
    state = shown.state.replace("_", " ")
    since = f" since {short(shown.since)}" if shown.since and shown.state != SubscriptionState.OK else ""
    return f"webhook {state}{since}, looked at {ago(now - shown.checked_at)}"


def _style(shown: SubscriptionDocument) -> str:
    if not shown.guarded or shown.state is None:
        return "yellow"
    return STYLES.get(SubscriptionState(shown.state), "red")
