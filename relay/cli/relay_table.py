"""The relays that share a store -> a table: which live, since when others are gone, and what their spools hold."""

from collections import Counter
from datetime import datetime

from rich.table import Table

from relay.cli.output import cell, counted, table
from relay.cli.times import short
from relay.operations.documents.status import RelayDocument, StatusDocument
from relay.operations.durations import ago

NAME = 8  # characters of a relay's name, or of a digest of routes
NEXT = "start it, or `relay spool drain` its file"


def shared(status: StatusDocument) -> bool:
    """Whether several relays may share the store: those that do say which routes they have."""
    return any(each.config or each.gone_at for each in status.relays) or len(status.relays) > 1


def called(name: str, status: StatusDocument) -> str:
    """`relay 3f2c5a9e on m1`."""
    hosts = [each.host for each in status.relays if each.name == name]
    return f"relay {name[:NAME]}{''.join(f' on {host}' for host in hosts)}"


def relays(status: StatusDocument, now: datetime) -> Table:
    """A row for each; one that is gone is there until its spool is known to be empty."""
    differ = status.configs > 1
    routes = ("ROUTES",) if differ else ()
    shown = table("RELAY", "HOST", "PID", "VERSION", "SEEN", *routes, "SPOOL", right=("PID",), folds=("SPOOL",))
    others = other_routes(status)
    for each in status.relays:
        style = "red" if each.gone_at else ""
        digest = [cell(each.config[:NAME], style or ("yellow" if each.config in others else ""))] if differ else []
        shown.add_row(
            cell(each.name[:NAME], style),
            cell(each.host, style),
            cell("-" if each.gone_at else each.pid, style),
            cell(each.version, style),
            cell(_seen(each, now), style),
            *digest,
            cell(_spool(each), style or ("yellow" if each.spooled else "")),
        )
    return shown


def other_routes(status: StatusDocument) -> set[str]:
    """Return the digests of routes that fewer relays have than the most do; all, if none has more than another."""
    numbers = Counter(each.config for each in status.living if each.config)
    most = [config for config, number in numbers.items() if number == max(numbers.values())]
    return set(numbers) - (set(most) if len(most) == 1 else set())


def _seen(relay: RelayDocument, now: datetime) -> str:
    if relay.gone_at:
        return f"gone {ago(now - relay.gone_at)}"
    return ago(now - relay.seen_at)


def _spool(relay: RelayDocument) -> str:
    if relay.spooled is None:
        return f"? not known since {short(relay.seen_at)}: {NEXT}"
    if not relay.spooled:
        return "-"
    since = f" since {short(relay.spooled_at)}" if relay.spooled_at else ""
    what = f"{counted(relay.spooled, 'webhook')}{since}"
    return f"{what}: {NEXT}" if relay.gone_at else what
