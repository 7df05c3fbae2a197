"""An account's webhooks, as its API lists them -> the state of ours. Pure.

amoCRM, "Webhooks API" (2026): the destination is the key, and one that differs by a character is another webhook.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relay.errors import AccountError, Blocked, Forbidden, TokenRefused, Unpaid
from relay.model import Json, Secret, Source
from relay.model.subscription import SubscriptionState

WEBHOOKS = "/api/v4/webhooks"
DESTINATION = "filter[destination]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A webhook of the account. `destination` is printed by nobody: it holds a token."""

    destination: Secret
    settings: tuple[str, ...]
    disabled: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look showed; `detail` says what is wrong."""

    state: SubscriptionState
    detail: str = ""


def destinations(source: Source) -> tuple[Secret, ...]:
    """The addresses at which amoCRM reaches this source, of its first token first; none without a guard."""
    if source.guard is None:
        return ()
    return tuple(Secret(f"{source.guard.url}/hooks/{source.name}/{token.reveal()}") for token in source.tokens)


def read_subscriptions(document: Mapping[str, Json] | None, ours: Collection[Secret]) -> list[Subscription]:
    """Return those webhooks of a listing whose destinations are exactly ours; other people's are not looked at."""
    embedded = (document or {}).get("_embedded")
    listed = embedded.get("webhooks") if isinstance(embedded, dict) else None
    found = (_subscription(each) for each in listed or () if isinstance(each, dict))
    return [each for each in found if each.destination in ours]


def _subscription(item: Mapping[str, Json]) -> Subscription:
    settings = item.get("settings") or ()  # a list, or an object whose keys they are: both are seen
    return Subscription(
        destination=Secret(str(item.get("destination", ""))),
        settings=tuple(map(str, settings)),
        disabled=item.get("disabled") in (True, 1, "1"),
    )


def state_of(found: Sequence[Subscription], needed: Collection[str]) -> Seen:
    """Return the state of the webhooks of one source; there should be one, with the settings that the routes need."""
    if not found:
        return Seen(SubscriptionState.MISSING, "the account has no webhook with our address: relay connect")
    on = [each for each in found if not each.disabled]
    if not on:
        return Seen(SubscriptionState.DISABLED)
    missing = sorted({*needed} - {setting for each in on for setting in each.settings})
    if missing:
        said = f"it lacks {', '.join(missing)}, which the routes need: relay connect"
        return Seen(SubscriptionState.SETTINGS_DIFFER, said)
    if len(on) > 1:
        said = "there is one for each token of the source, so every event comes twice: relay connect"
        return Seen(SubscriptionState.SETTINGS_DIFFER, said)
    return Seen(SubscriptionState.OK)


def state_after(error: AccountError) -> Seen:
    """Return what follows from an answer that is none."""
    match error:
        case TokenRefused() | Forbidden() | Blocked():
            return Seen(SubscriptionState.NO_RIGHTS, str(error))
        case Unpaid():
            return Seen(SubscriptionState.UNPAID, str(error))
        case _:
            return Seen(SubscriptionState.API_AWAY, str(error))
