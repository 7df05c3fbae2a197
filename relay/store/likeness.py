"""A webhook -> what an equal one is found by; an event -> the moment of its change; alike for every kind of store."""

from collections.abc import Sequence
from typing import NamedTuple

from relay.amocrm.change_times import changed_at
from relay.amocrm.events import load
from relay.model import Event, RoutedEvent, Webhook
from relay.store.checksum import checksum
from relay.store.requests import KeepRequest

LONGEST_TIME = 19  # characters, of a decimal that fits into 64 bits, and of a date and time


class Likeness(NamedTuple):
    """What a webhook is found by if an equal one comes, None without a window; and the checksum of its body.

    `dated` is the time in its first event, 0 if there is none: equal webhooks have the same. None if the webhook is
    unparsed: a later relay may find a time in an equal one.
    """

    of_body: bytes
    digest: bytes | None
    dated: int | str | None


def likeness_of(request: KeepRequest) -> Likeness:
    """Return it: the search and the row need it, and a body is hashed once."""
    webhook, routed, windows = request.webhook, request.routed, request.windows
    of_body = checksum(webhook.body)
    if windows.longest is None:
        return Likeness(of_body, None, None)
    return Likeness(of_body, _digest(webhook, of_body), _dated(webhook, routed))


def moment(event: Event) -> tuple[object, str]:
    """Return account and second of a change."""
    return event.account.get("id"), changed_at(event)


def moment_in(payload: bytes) -> tuple[object, str] | None:
    """Return that of a stored event; None if a disk has changed it."""
    try:
        return moment(load(payload))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _digest(webhook: Webhook, of_body: bytes) -> bytes:
    """Return the digest of query and body; without a query that of the body alone, as earlier relays stored it."""
    return checksum(of_body, webhook.query.encode(errors="surrogatepass")) if webhook.query else of_body


def _dated(webhook: Webhook, routed: Sequence[RoutedEvent]) -> int | str | None:
    """Return the time that leads in the index of digests, so that new entries go to its end.

    By the digest alone each went to a random page, which was a third of the cost of a commit.
    """
    if webhook.unparsed is not None:
        return None
    at = changed_at(routed[0].event) if routed else ""
    return int(at) if at.isdecimal() and len(at) < LONGEST_TIME else at[:LONGEST_TIME] or 0
