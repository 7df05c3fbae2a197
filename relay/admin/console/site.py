"""Every page of the console, and the links at its top."""

from relay.admin.console.languages import gettext
from relay.admin.console.page import Page
from relay.admin.console.pages.about import PAGES as ABOUT
from relay.admin.console.pages.acts import PAGES as ACTS
from relay.admin.console.pages.attempts import PAGES as ATTEMPTS
from relay.admin.console.pages.deliveries import PAGES as DELIVERIES
from relay.admin.console.pages.event import PAGES as EVENT
from relay.admin.console.pages.heal import PAGES as HEAL
from relay.admin.console.pages.language import PAGES as LANGUAGE
from relay.admin.console.pages.live import PAGES as LIVE
from relay.admin.console.pages.login import PAGES as LOGIN
from relay.admin.console.pages.overview import PAGES as OVERVIEW
from relay.admin.console.pages.pause import PAGES as PAUSE
from relay.admin.console.pages.preferences import PAGES as PREFERENCES
from relay.admin.console.pages.refused import PAGES as REFUSED
from relay.admin.console.pages.relays import PAGES as RELAYS
from relay.admin.console.pages.routes import PAGES as ROUTES
from relay.admin.console.pages.routes_diff import PAGES as ROUTES_DIFF
from relay.admin.console.pages.routes_try import PAGES as ROUTES_TRY
from relay.admin.console.pages.search import PAGES as SEARCH
from relay.admin.console.pages.selection import PAGES as SELECTION
from relay.admin.console.pages.sources import PAGES as SOURCES
from relay.admin.console.pages.story import PAGES as STORY
from relay.admin.console.pages.target import PAGES as TARGET
from relay.admin.console.pages.unparsed import PAGES as UNPARSED
from relay.admin.console.pages.unrouted import PAGES as UNROUTED
from relay.admin.console.pages.webhook import PAGES as WEBHOOK
from relay.admin.console.waiting import Counts

PAGES: tuple[Page, ...] = (
    *ABOUT,
    *ACTS,
    *ATTEMPTS,
    *DELIVERIES,
    *EVENT,
    *HEAL,
    *LANGUAGE,
    *LIVE,
    *LOGIN,
    *OVERVIEW,
    *PAUSE,
    *PREFERENCES,
    *REFUSED,
    *RELAYS,
    *ROUTES,
    *ROUTES_DIFF,
    *ROUTES_TRY,
    *SEARCH,
    *SELECTION,
    *SOURCES,
    *STORY,
    *TARGET,
    *UNPARSED,
    *UNROUTED,
    *WEBHOOK,
)


def navigation(waiting: Counts) -> list[tuple[str, str, int]]:
    """The links at the top: address, name, and how much waits there."""
    return [
        ("/", gettext("Overview"), 0),
        ("/deliveries", gettext("Deliveries"), 0),
        ("/live", gettext("Live"), 0),
        ("/routes", gettext("Routes"), 0),
        ("/unparsed", gettext("Unparsed"), waiting.unparsed),
        ("/unrouted", gettext("Unrouted"), waiting.unrouted),
        ("/acts", gettext("Acts"), waiting.acts),
    ]
