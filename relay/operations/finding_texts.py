"""A kind of finding -> its texts: in English for commands and monitors, in sentences that the console translates.

Both say the same: the one names commands, the other the console's pages and buttons.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from relay.operations.translatable import N_, NN_, Plural


class Kind(StrEnum):
    """What is wrong."""

    NO_DAEMON = "no_daemon"
    MISSING = "missing"
    STRANDED = "stranded"
    DISK = "disk"
    UNPARSED = "unparsed"
    ROUTES_DIFFER = "routes_differ"
    FILE_REFUSED = "file_refused"
    ROUTE_STOPPED = "route_stopped"
    SUBSCRIPTION = "subscription"
    FAILED_ANSWERS = "failed_answers"
    PAUSED = "paused"
    ORPHANED = "orphaned"
    CIRCUIT_OPEN = "circuit_open"
    OVERDUE = "overdue"
    FAILING = "failing"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingTexts:
    """`line` and `advice`: in English; `title` and `remedy`: for pages, which give the English ones where these are "".

    In braces: `name` of the target, source, route or file, `count`, `age` and `why`; in English also `ago` and
    `state`.
    The name of a target or source stands before `line` and `title`.
    """

    line: str | Plural
    advice: str
    title: str | Plural = ""
    remedy: str = ""


TEXTS: Mapping[Kind, FindingTexts] = {
    Kind.NO_DAEMON: FindingTexts(
        line="no daemon runs",
        advice="start relay run, or its service; the end of its log says why it stopped",
        title=N_("No daemon runs: webhooks are not received, and nothing is delivered."),
        remedy=N_("Start relay run, or its service; the end of its log says why it stopped."),
    ),
    Kind.MISSING: FindingTexts(
        line=Plural(
            "at most 1 webhook is missing that was answered 200",
            "at most {count} webhooks are missing that were answered 200",
        ),
        advice="relay verify says since when; put the newer database back, then relay verify --accept-loss",
        title=NN_(
            "At most {count} webhook is missing that was answered 200.",
            "At most {count} webhooks are missing that were answered 200.",
        ),
        remedy=N_("relay verify says since when. Put the newer database back, then relay verify --accept-loss."),
    ),
    Kind.STRANDED: FindingTexts(
        line=Plural(
            "{count} webhook in spools of relays that are gone",
            "{count} webhooks in spools of relays that are gone",
        ),
        advice="start that relay again, or relay spool drain FILE where its spool is",
        title=NN_(
            "{count} webhook is in the spool of a relay that is gone.",
            "{count} webhooks are in spools of relays that are gone.",
        ),
        remedy=N_("Start that relay again, or run relay spool drain where its spool is."),
    ),
    Kind.DISK: FindingTexts(
        line="the disk of the store is nearly full",
        advice="free space on that file system; never delete relay.db-wal",
        title=N_("The disk of the store is nearly full."),
        remedy=N_("Free space on that file system. Never delete relay.db-wal: it holds webhooks."),
    ),
    Kind.UNPARSED: FindingTexts(
        line="{count} unparsed",
        advice="relay list --unparsed says why; relay reparse after an upgrade, or relay dismiss ID",
        title=NN_("{count} webhook could not be read.", "{count} webhooks could not be read."),
        remedy=N_("See why, then reparse them after an upgrade, or dismiss what nobody has to read."),
    ),
    Kind.ROUTES_DIFFER: FindingTexts(
        line="relays have different routes",
        advice="give each relay the same routes file; relay status lists them",
        title=N_("The relays have different routes."),
        remedy=N_("Give each relay the same routes file."),
    ),
    Kind.FILE_REFUSED: FindingTexts(
        line="{name} on disk is not what runs: refused {ago}",
        advice="{why}; mend it in the file, which is loaded by itself; relay check finds it before the file is saved",
        title=N_("{name} on disk is not what runs: it was refused {age} ago."),
        remedy=N_(
            "First error: {why} – mend it in the file, and it is loaded by itself. "
            "Until then the version that was loaded before stays in force."
        ),
    ),
    Kind.ROUTE_STOPPED: FindingTexts(
        line="route {name} is stopped",
        advice="{why}; what it may take waits until then",
        title=N_("The route {name} is stopped."),
    ),
    Kind.SUBSCRIPTION: FindingTexts(line="webhook in amoCRM {state}", advice="{why}"),
    Kind.FAILED_ANSWERS: FindingTexts(
        line="{count} failed answers in 2 h",
        advice="relay list --refused says why; look in amoCRM whether the webhook is still on",
        title=N_("{count} failed answers in 2 h"),
        remedy=N_("See why requests were refused, and look in amoCRM whether the webhook is still on."),
    ),
    Kind.PAUSED: FindingTexts(
        line="paused {ago}",
        advice="relay resume {name}, once the reason is gone",
        title=N_("paused for {age}"),
        remedy=N_("Resume it once the reason is gone. What comes for it is kept."),
    ),
    Kind.ORPHANED: FindingTexts(
        line="{count} pending, and not in the routes",
        advice="put it back into the routes file, or relay drop --target {name}",
        title=N_("{count} pending, and not in the routes"),
        remedy=N_("Put it back into the routes file, or drop what waits for it."),
    ),
    Kind.CIRCUIT_OPEN: FindingTexts(
        line="circuit open {ago}: {why}",
        advice="mend the target, or its url in the routes file: nothing is lost, and the backlog follows by itself",
        title=N_("circuit open for {age}: {why}"),
        remedy=N_("Mend the target, or its url in the routes file. Nothing is lost; the backlog follows by itself."),
    ),
    Kind.OVERDUE: FindingTexts(
        line="{count} pending, the oldest for {age}",
        advice="relay list --state pending --target {name} says what they wait for",
        title=N_("{count} pending, the oldest for {age}"),
        remedy=N_("See what its deliveries wait for."),
    ),
    Kind.FAILING: FindingTexts(
        line="failing: {why}",
        advice="relay attempts --failed --target {name} says what it answers",
        title=N_("the last attempt failed: {why}"),
        remedy=N_("See what it answers. Its deliveries are retried by themselves."),
    ),
    Kind.DEAD: FindingTexts(
        line="{count} dead",
        advice="mend the target, then relay replay --state dead --target {name}; or relay dismiss",
        title=NN_("{count} dead delivery", "{count} dead deliveries"),
        remedy=N_("Mend the target, then replay them; or dismiss what nobody needs."),
    ),
}
