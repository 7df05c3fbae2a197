"""An account of the routes file: how amoCRM's API is reached, and what a source asks of it, with every default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from relay.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthGrant:
    """An integration whose grant an administrator gives once, by `relay account login`; the store keeps the tokens."""

    client_id: str
    client_secret: Secret
    redirect_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An amoCRM or Kommo account. `host` may have a port if it is loopback; one of `token` and `oauth` is set.

    `names`: a file made by `relay names --export`.
    """

    name: str
    host: str
    token: Secret | None = None
    oauth: OAuthGrant | None = None
    names: Path | None = None

    @property
    def url(self) -> str:
        """`https://example.amocrm.ru`; a host with a port is loopback, and reached by plain http."""
        return f"{'http' if ':' in self.host else 'https'}://{self.host}"

    @property
    def is_kommo(self) -> bool:
        """True for an account of kommo.com, whose API has larger pages and other limits."""
        return self.host.endswith(".kommo.com")


class Reenable(StrEnum):
    """What the guard may do to a webhook that is switched off. `RECREATE`: also delete it and create it anew."""

    FALSE = "false"
    TRUE = "true"
    RECREATE = "recreate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Watch a source's webhook in amoCRM. `url`: our public address, to which `/hooks/{source}/{token}` is appended."""

    reenable: Reenable = Reenable.FALSE
    url: str


class HealMode(StrEnum):
    """Whether lost webhooks are looked for. `REPORT`: they are counted, and nothing is sent."""

    OFF = "off"
    REPORT = "report"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class DpTrigger:
    """Triggers of the digital pipeline on one stage, of one address: the API lists none of them.

    `stage`: `Pipeline/Stage`, or the id of a status. `on`: actions of `vocabulary.TRIGGERS`.
    """

    stage: str
    on: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heal:
    """How lost webhooks of a source are healed.

    `actions`: types like `leads.status`; None for all that can be. `most`: healed events in any 24 h before an operator
    has to approve. `settle`: how old a change is before its webhook counts as lost; None for what the channel needs.
    `proxied`: something before the relay may have answered amoCRM in its place.
    """

    mode: HealMode = HealMode.OFF
    actions: frozenset[str] | None = None
    most: int = 1000
    settle: timedelta | None = None
    proxied: bool = True
    dp: tuple[DpTrigger, ...] = ()


HEAL_OFF = Heal()
"""What a source has that says nothing of it."""
