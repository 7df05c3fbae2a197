"""A double of amoCRM: its API, its feed of events, its webhooks, and a log of what ought to have been told.

    clock = VirtualClock()
    amo = FakeAmo(seed, clock=clock, alpha=False)
    amo.subscribe("http://127.0.0.1:8080/hooks/crm/token", ["status_lead", "add_lead"])
    amo.add_trigger(offer.id, "http://127.0.0.1:8080/hooks/crm/token?try=1", "status", "add")
    lead = amo.add_lead()
    amo.move(lead, offer)                              # the feed, the log and the queue of webhooks have it
    for post in amo.due():                             # Post: destination, headers, body, rows
        amo.answered(post, 200)                        # None: a time-out
    amo.request("GET", "/api/v4/events?filter[type][]=lead_status_changed").json()
    amo.rows()                                         # the oracle: what each channel ought to have told

What is known of amoCRM is in the vendor's pages and in public clients; what is not known is a field of `Quirks`, so
that a client can be tried with either.
"""

from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import VirtualClock
from tests.fakeamo.posts import Post
from tests.fakeamo.subscriptions import SETTINGS
from tests.fakeamo.values import Ending, Exactness, FakeAnswer, Mutation, Quirks, Row

__all__ = [
    "SETTINGS",
    "Ending",
    "Exactness",
    "FakeAmo",
    "FakeAnswer",
    "Mutation",
    "Post",
    "Quirks",
    "Row",
    "VirtualClock",
]
