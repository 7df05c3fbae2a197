"""A problem -> its title and what to do, in the language of the page and in terms of its buttons.

What the page has no words for is said as the desk says it.
"""

from relay.admin.console.filters import whole
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.sentences import said as say
from relay.operations.documents.overview import OverviewDocument, ProblemDocument
from relay.operations.documents.status import TargetDocument
from relay.operations.health import Kind


def problem_title(problem: ProblemDocument, seen: OverviewDocument) -> str:
    """`warehouse: circuit open for 14 min`."""
    if problem.target and (target := _target(problem, seen)):
        return f"{problem.target}: {_of_target(problem, target, seen)}"
    match problem.kind:
        case Kind.NO_DAEMON:
            return _("No daemon runs: webhooks are not received, and nothing is delivered.")
        case Kind.MISSING:
            lost = seen.status.webhooks.lost
            return ngettext(
                "At most %(num)d webhook is missing that was answered 200.",
                "At most %(num)d webhooks are missing that were answered 200.",
                lost,
            ) % {"num": lost}
        case Kind.STRANDED:
            count = seen.status.stranded
            return ngettext(
                "%(num)d webhook is in the spool of a relay that is gone.",
                "%(num)d webhooks are in spools of relays that are gone.",
                count,
            ) % {"num": count}
        case Kind.DISK:
            return _("The disk of the store is nearly full.")
        case Kind.UNPARSED:
            count = seen.status.webhooks.unparsed
            return ngettext(
                "%(num)d webhook could not be read.",
                "%(num)d webhooks could not be read.",
                count,
            ) % {"num": count}
        case Kind.ROUTES_DIFFER:
            return _("The relays have different routes.")
        case Kind.FILE_REFUSED:
            return _("A newer routes file is refused.")
        case Kind.ROUTE_STOPPED:
            return _("The route {route} is stopped.").format(route=problem.route)
        case Kind.FAILED_ANSWERS:
            failed = next((each.failed_2h for each in seen.sources if each.source == problem.source), 0)
            return _("{source}: {failed} failed answers in 2 h").format(source=problem.source, failed=failed)
    return say(problem.text)


def _target(problem: ProblemDocument, seen: OverviewDocument) -> TargetDocument | None:
    return next((each for each in seen.status.targets if each.target == problem.target), None)


def _of_target(problem: ProblemDocument, target: TargetDocument, seen: OverviewDocument) -> str:
    match problem.kind:
        case Kind.PAUSED if target.paused:
            return _("paused for {age}").format(age=whole(seen.at - target.paused.at))
        case Kind.ORPHANED:
            return _("{pending} pending, and not in the routes").format(pending=target.pending)
        case Kind.CIRCUIT_OPEN if target.breaker:
            return _("circuit open for {age}").format(age=whole(seen.at - target.breaker.since))
        case Kind.OVERDUE if target.oldest_at:
            said = _("{pending} pending, the oldest for {age}")
            return said.format(pending=target.pending, age=whole(seen.at - target.oldest_at))
        case Kind.FAILING:
            return _("the last attempt failed")
        case Kind.DEAD:
            return ngettext("%(num)d dead delivery", "%(num)d dead deliveries", target.dead) % {"num": target.dead}
    return problem.text.removeprefix(f"{problem.target}: ")


def problem_advice(problem: ProblemDocument, _seen: OverviewDocument) -> str:
    """What to do about it."""
    match problem.kind:
        case Kind.NO_DAEMON:
            return _("Start relay run, or its service; the end of its log says why it stopped.")
        case Kind.MISSING:
            return _("relay verify says since when. Put the newer database back, then relay verify --accept-loss.")
        case Kind.STRANDED:
            return _("Start that relay again, or run relay spool drain where its spool is.")
        case Kind.DISK:
            return _("Free space on that file system. Never delete relay.db-wal: it holds webhooks.")
        case Kind.UNPARSED:
            return _("See why, then reparse them after an upgrade, or dismiss what nobody has to read.")
        case Kind.ROUTES_DIFFER:
            return _("Give each relay the same routes file.")
        case Kind.FILE_REFUSED:
            return _("Mend what is quoted below; relay check finds it before the file is saved.")
        case Kind.FAILED_ANSWERS:
            return _("See why requests were refused, and look in amoCRM whether the webhook is still on.")
        case Kind.PAUSED:
            return _("Resume it once the reason is gone. What comes for it is kept.")
        case Kind.ORPHANED:
            return _("Put it back into the routes file, or drop what waits for it.")
        case Kind.CIRCUIT_OPEN:
            return _("Mend the target, or its url in the routes file. Nothing is lost; the backlog follows by itself.")
        case Kind.OVERDUE:
            return _("See what its deliveries wait for.")
        case Kind.FAILING:
            return _("See what it answers. Its deliveries are retried by themselves.")
        case Kind.DEAD:
            return _("Mend the target, then replay them; or dismiss what nobody needs.")
    return say(problem.advice)
