"""The values that every stage shares: immutable, without I/O and clocks. Import them from here."""

from relay.model.accounts import HEAL_OFF, Account, DpTrigger, Guard, Heal, HealMode, OAuthGrant, Reenable
from relay.model.deliveries import (
    Dead,
    Delivered,
    Delivery,
    Health,
    Outcome,
    PlannedDelivery,
    Reason,
    RetryAt,
    RoutedEvent,
    State,
    Verdict,
    VerdictName,
)
from relay.model.egress import DIRECT, Egress, Exemption, Proxy
from relay.model.loopback import is_loopback
from relay.model.retention import Retention
from relay.model.secret import Secret, signing_key
from relay.model.sources import Source
from relay.model.targets import Batch, ClientAuth, Format, HealDelivery, Method, OAuth2, Order, RetryPolicy, Target, Tls
from relay.model.templates import BodyTemplate, TextTemplate
from relay.model.values import Json, frozen
from relay.model.webhooks import Event, Webhook, entity_id

__all__ = [
    "DIRECT",
    "HEAL_OFF",
    "Account",
    "Batch",
    "BodyTemplate",
    "ClientAuth",
    "Dead",
    "Delivered",
    "Delivery",
    "DpTrigger",
    "Egress",
    "Event",
    "Exemption",
    "Format",
    "Guard",
    "Heal",
    "HealDelivery",
    "HealMode",
    "Health",
    "Json",
    "Method",
    "OAuth2",
    "OAuthGrant",
    "Order",
    "Outcome",
    "PlannedDelivery",
    "Proxy",
    "Reason",
    "Reenable",
    "Retention",
    "RetryAt",
    "RetryPolicy",
    "RoutedEvent",
    "Secret",
    "Source",
    "State",
    "Target",
    "TextTemplate",
    "Tls",
    "Verdict",
    "VerdictName",
    "Webhook",
    "entity_id",
    "frozen",
    "is_loopback",
    "signing_key",
]
