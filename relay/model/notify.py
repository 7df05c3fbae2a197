"""Notifications that the routes file asks for: who is notified of what, and when not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import TypeAlias

from relay.model.egress import DIRECT, Egress
from relay.model.secret import Secret
from relay.model.targets import Tls
from relay.model.templates import BodyTemplate

REPORT = "notify "
"""How the names of the reports begin that relays publish for each other; the relay's own name follows."""


class Kind(StrEnum):
    """What is notified of, in the order of a message: the worst first."""

    DISK = "disk"
    SPOOL = "spool"
    GUARD = "guard"
    SILENCE = "silence"
    TARGET_OPEN = "target_open"
    TARGET_CLOSED = "target_closed"
    DEAD = "dead"
    UNPARSED = "unparsed"
    RELOAD = "reload"
    HEAL = "heal"


class Language(StrEnum):
    """What messages are written in."""

    EN = "en"
    RU = "ru"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegram:
    """A chat, or one topic of it. `api`: the Bot API, maybe a server of one's own."""

    token: Secret
    chat_id: int | str
    thread: int | None = None
    api: str = "https://api.telegram.org"


class Encryption(StrEnum):
    """How a connection to a mail server is encrypted; certificates are always verified."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Addresses, and the server that takes messages for them."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password: Secret | None = None
    encryption: Encryption = Encryption.STARTTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack, or of what understands its format."""

    url: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReceiver:
    """Any URL. `body`: rendered for each notification; None: the notification as JSON."""

    url: Secret
    headers: Mapping[str, Secret] = field(default_factory=dict)
    body: BodyTemplate | None = None


Receiver: TypeAlias = Telegram | Mail | Slack | HttpReceiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The hours, by the relay's local time, in which only the kinds of `exempt` are sent. They may span midnight."""

    begins: time
    ends: time
    exempt: frozenset[Kind] = frozenset()

    def holds(self, at: time) -> bool:
        """Whether it is quiet at this time of day."""
        if self.begins <= self.ends:
            return self.begins <= at < self.ends
        return at >= self.begins or at < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """One receiver. `name` is `telegram`, or `telegram-2` for the second of its kind: a label of metrics.

    `installation`: what messages begin with, so that several in one chat can be told apart; None: the host's name.
    `silence`: after how long without a webhook its source is silent.
    """

    name: str
    to: Receiver
    installation: str | None = None
    kinds: frozenset[Kind] = frozenset(Kind)
    silence: Mapping[str, timedelta] = field(default_factory=dict)
    quiet: Quiet | None = None
    language: Language = Language.EN
    egress: Egress = DIRECT
    tls: Tls | None = None
