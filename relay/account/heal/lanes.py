"""What a source wants healed -> lanes: which types of the feed are asked for, each with a mark of its own."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from relay.account.heal.channels import DpChannel
from relay.account.heal.expected import CHAT, CORE, MAIL, TRIGGERED_BY, is_update, webhook_types_of
from relay.account.heal.keys import CAME, CARDS, LEFT


class Lane(NamedTuple):
    """One way of asking the feed. `types`: empty for all, also those whose names have the number of a field in them."""

    name: str
    params: Mapping[str, str] = {}
    types: tuple[str, ...] = ()

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are looked for in this lane."""
        return event_type in self.types if self.types else is_update(event_type)


INCOMING, TASKS = "unsorted", "tasks"
LISTS: Mapping[str, frozenset[str]] = {
    INCOMING: frozenset({CAME, LEFT}),
    TASKS: frozenset({"task.update", "task.responsible"}),
}
"""Lists that are read beside the feed, each with a mark as a lane has one -> the webhooks that they stand for."""
LANES = frozenset({"core", "chat", "mail", "full", *LISTS})
"""Their names. A store has other marks beside them, as since when a subscription is wanted."""

_OF_CONTACTS = {"filter[entity][]": "contact"}


def lanes(webhook_types: Collection[str], triggers: Collection[DpChannel]) -> list[Lane]:
    """The lanes for these webhooks of the account, `leads.status`, and these triggers.

    The lane of updates reads the whole account's feed: the types of custom fields cannot be asked for together.
    """
    fired = {kind for kind, action in TRIGGERED_BY.items() if any(each.action == action for each in triggers)}
    if any(each.action == "add" for each in triggers):
        fired.add("lead_added")
    if any(each.action == "status" for each in triggers):
        fired.add("lead_status_changed")
    wanted = fired | {kind for kind in CORE | CHAT if not webhook_types_of(kind).isdisjoint(webhook_types)}
    found = [
        Lane("core", {}, tuple(sorted(wanted - CHAT - MAIL))),
        Lane("chat", _OF_CONTACTS, tuple(sorted(wanted & CHAT))),
        Lane("mail", {}, tuple(sorted(wanted & MAIL))),
    ]
    found = [lane for lane in found if lane.types]
    return [*found, Lane("full")] if any(f"{card}.update" in webhook_types for card in CARDS) else found


def lists(webhook_types: Collection[str]) -> list[str]:
    """The lists to read for these webhooks of the account."""
    return [name for name, brought in LISTS.items() if not brought.isdisjoint(webhook_types)]
