"""A listing of an account's webhooks is read defensively, and other people's are not ours."""

import pytest

from relay.account.subscription import Subscription, destinations, read_subscriptions
from relay.model import Guard, Secret, Source

OURS = Secret("https://hooks.example.com/hooks/crm/t")


def listing(*items: object) -> dict[str, object]:
    return {"_total_items": len(items), "_embedded": {"webhooks": [*items]}}


def item(destination: str = OURS.reveal(), **more: object) -> dict[str, object]:
    return {"id": 1, "destination": destination, "disabled": False, "settings": ["add_lead"], **more}


@pytest.mark.parametrize(
    "other", ["https://somebody.example/", OURS.reveal() + "/", OURS.reveal().replace("crm", "CRM")]
)
def test_a_webhook_whose_destination_differs_by_a_character_is_not_ours(other: str) -> None:
    """Also where the filter of the listing was ignored."""
    assert read_subscriptions(listing(item(other), item()), [OURS]) == [
        Subscription(destination=OURS, settings=("add_lead",), disabled=False)
    ]


@pytest.mark.parametrize("settings", [["add_lead", "status_lead"], {"add_lead": 1, "status_lead": 1}])
def test_settings_are_a_list_or_an_object(settings: object) -> None:
    [found] = read_subscriptions(listing(item(settings=settings)), [OURS])
    assert found.settings == ("add_lead", "status_lead")


@pytest.mark.parametrize(
    "document",
    [None, {}, {"_embedded": None}, {"_embedded": {"webhooks": None}}, listing(None, 7, {}, {"settings": None})],
)
def test_anything_else_is_no_webhook(document: dict[str, object] | None) -> None:
    assert read_subscriptions(document, [OURS]) == []


def test_a_destination_is_not_printed() -> None:
    source = Source(name="crm", tokens=(Secret("t"), Secret("u")), guard=Guard(url="https://hooks.example.com"))
    assert destinations(source)[0] == OURS
    assert "/hooks/crm/t" not in str(destinations(source))
    [found] = read_subscriptions(listing(item()), destinations(source))
    assert "/hooks/crm/t" not in repr(found)
