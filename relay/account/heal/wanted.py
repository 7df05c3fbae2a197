"""A source's `heal:`, and what its account knows of its webhook -> what is to be healed of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from relay.account.heal.channels import DpChannel, Stage, channels_of
from relay.account.heal.limits import Limits, limits
from relay.model import Source
from relay.model.accounts import Heal, HealMode
from relay.model.heal import Span

_ENTITIES = {"lead": "leads", "contact": "contacts", "company": "companies", "customer": "customers"}
BY_HAND = frozenset({"unsorted.add", "unsorted.delete", "customers.status"})
"""Webhooks that a person sets up, and that the account's list may not show: they are wanted if `actions` has them."""

_BY_NAME = {"status_lead": "leads.status", "add_outgoing_message": "outgoing_message.add"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What bodies and requests need of an account. `filters`: lists of entities can be filtered, as it says itself."""

    id: int
    subdomain: str
    url: str
    kommo: bool = False
    filters: bool = False

    @property
    def block(self) -> Mapping[str, object]:
        """What `bodies.body` makes the account block of."""
        return {"id": self.id, "subdomain": self.subdomain, "self": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is healed of a source.

    `subscribed`: `leads.status`, the webhooks that the account sends and that are wanted. `held_since`: nothing later
    is decided yet, as a spool may have its webhooks. The webhook was switched off in `closed` by a person, in `outages`
    by amoCRM, for failures of ours.
    """

    source: str
    mode: HealMode
    limits: Limits
    account: AccountFacts
    subscribed: frozenset[str]
    triggers: tuple[DpChannel, ...] = ()
    most: int = 1000
    held_since: datetime | None = None
    closed: tuple[Span, ...] = ()
    outages: tuple[Span, ...] = ()


def wanted(
    source: Source,
    account: AccountFacts,
    *,
    settings: Iterable[str],
    stages: Mapping[str, Stage],
    held_since: datetime | None = None,
    closed: Iterable[Span] = (),
    outages: Iterable[Span] = (),
) -> Wanted:
    """`settings`: of the source's webhook in the account, `status_lead`; `stages`: of its triggers, by their text."""
    heal = source.heal
    return Wanted(
        source=source.name,
        mode=heal.mode,
        limits=limits(heal, kommo=account.kommo),
        account=account,
        subscribed=frozenset(each for each in map(webhook_type, settings) if _is_wanted(each, heal.actions))
        | (BY_HAND & (heal.actions or frozenset())),
        triggers=tuple(_triggers(heal, stages)),
        most=heal.most,
        held_since=held_since,
        closed=tuple(closed),
        outages=tuple(outages),
    )


def webhook_type(setting: str) -> str:
    """`add_lead` -> `leads.add`: what a subscription brings."""
    action, _, kind = setting.partition("_")
    return _BY_NAME.get(setting) or f"{_ENTITIES.get(kind, kind)}.{action}"


def _is_wanted(event_type: str, actions: Collection[str] | None) -> bool:
    return actions is None or event_type in actions


def _triggers(heal: Heal, stages: Mapping[str, Stage]) -> Iterable[DpChannel]:
    """The triggers whose stage is known and whose action is wanted."""
    for trigger in heal.dp:
        if trigger.stage in stages:
            for each in channels_of(trigger, stages[trigger.stage]):
                if _is_wanted(f"leads.{each.action}", heal.actions):
                    yield each
