"""The webhooks in amoCRM that are watched -> a line of `relay status` for each."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from relay.cli.output import labelled
from relay.cli.times import short
from relay.model.subscription import GuardRecord, SubscriptionState
from relay.operations.durations import ago
from relay.store.records import Status

STYLES = {SubscriptionState.OK: "", SubscriptionState.API_AWAY: "yellow"}


def subscriptions(status: Status, now: datetime) -> Iterator[Table]:
    """What the guard saw last, and what to do; since when, if it is nothing good."""
    for each in status.guards.values():
        yield labelled("in amoCRM", f"{each.source}: {_said(each, now)}", _style(each))
        if each.detail and not each.off:
            yield labelled("", each.detail)


def _said(record: GuardRecord, now: datetime) -> str:
    if record.off:
        return f"disconnected, and not watched: relay connect {record.source}"
    if record.state is None or record.checked_at is None:
        return "not looked at yet"
    state = record.state.replace("_", " ")
    since = f" since {short(record.since)}" if record.since and record.state is not SubscriptionState.OK else ""
    return f"webhook {state}{since}, looked at {ago(now - record.checked_at)}"


def _style(record: GuardRecord) -> str:
    if record.off or record.state is None:
        return "yellow"
    return STYLES.get(record.state, "red")
