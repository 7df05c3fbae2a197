"""A target of the routes file, with the default of every setting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from relay.model.egress import DIRECT, Egress
from relay.model.enrich import Enrich
from relay.model.event_names import EventNames
from relay.model.secret import Secret
from relay.model.templates import BodyTemplate, Expression, TextTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to retry: exponential backoff, or by `schedule`; until `attempts` or `max_age` is reached."""

    initial: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    max: timedelta = timedelta(hours=1)
    jitter: float = 0.2
    max_age: timedelta = timedelta(days=3)
    schedule: tuple[timedelta, ...] = ()
    attempts: int | None = None


class Order(StrEnum):
    """Order of deliveries. `ENTITY`: one at a time per lead, contact, …, in the order of arrival."""

    NONE = "none"
    ENTITY = "entity"


class Format(StrEnum):
    """Body of a delivery: the event as JSON, CloudEvents 1.0 around it, or amoCRM's own form."""

    JSON = "json"
    CLOUDEVENTS = "cloudevents"
    FORM = "form"


class HealDelivery(StrEnum):
    """What a target gets of healed events. `MARK`: marked if a newer webhook has overtaken them; `DROP`: none."""

    DELIVER = "deliver"
    MARK = "mark"
    DROP = "drop"


class Method(StrEnum):
    """By which method a delivery is sent; each has a body, and is retried alike."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Several events in one request: at most `most`, which is sent at the latest `within` after the first of them."""

    most: int = 100
    within: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files for connections to a target: a CA beside the system's; client certificate and key, both or neither.

    `digest` is the hash of the files' contents when they were read.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    digest: str = ""


class ClientAuth(StrEnum):
    """Where the credentials of `oauth2` are sent (RFC 6749 §2.3.1): HTTP Basic, or the form of the request.

    The standard asks every server for Basic; some read the form alone, or do not decode what Basic encodes.
    """

    BASIC = "basic"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2:
    """Client credentials (RFC 6749 §4.4), for which `token_url` gives access tokens."""

    token_url: str = field(repr=False)  # may hold a secret
    client_id: Secret
    client_secret: Secret
    scope: str = ""
    auth: ClientAuth = ClientAuth.BASIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An HTTP endpoint we deliver to. `rate`: requests per second, None for no limit.

    A status in `ok_on` means delivered, as 2xx does; `ok_on` and `dead_on` are disjoint. A `body` is sent in the place
    of `format`'s. `query` is appended to the URL. `url_template` renders the whole URL, whose origin is that of `url`;
    no name is in both `headers` and `header_templates`. `hidden`: what the `${…}` in query, body and templates hold.
    `names`: each event has the names of what its ids stand for; `event_names` knows them, also for templates that ask.
    """

    name: str
    url: str = field(repr=False)  # may hold a secret
    url_template: TextTemplate | None = None
    query: Mapping[str, TextTemplate | Secret] = field(default_factory=dict, repr=False)
    method: Method = Method.POST
    headers: Mapping[str, Secret] = field(default_factory=dict)
    header_templates: Mapping[str, TextTemplate] = field(default_factory=dict)
    body: BodyTemplate | None = None
    content_type: str | None = None
    hidden: tuple[Secret, ...] = ()
    secrets: tuple[Secret, ...] = ()
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = 8
    retry: RetryPolicy = RetryPolicy()
    dead_on: frozenset[int] = frozenset({400, 410, 413, 414, 415, 422})
    ok_on: frozenset[int] = frozenset()
    order: Order = Order.NONE
    rate: float | None = None
    format: Format = Format.JSON
    breaker_failures: int = 10
    tls: Tls | None = None
    egress: Egress = DIRECT
    batch: Batch | None = None
    oauth2: OAuth2 | None = None
    ok_if: Expression | None = None
    retry_after: Expression | None = None
    names: bool = False
    event_names: EventNames | None = field(default=None, repr=False)
    heal: HealDelivery = HealDelivery.DELIVER
    enrich: Enrich | None = None

    @property
    def texts(self) -> Mapping[str, TextTemplate]:
        """Its templates but for the body's, each by what it is of: `url`, `query.lead`, `headers.X-Lead`."""
        found = {"url": self.url_template} if self.url_template else {}
        found |= {f"query.{name}": value for name, value in self.query.items() if not isinstance(value, Secret)}
        return found | {f"headers.{name}": value for name, value in self.header_templates.items()}

    @property
    def template_fields(self) -> frozenset[str]:
        """What its templates read, see `TextTemplate.fields`."""
        of_body = self.body.fields if self.body else frozenset()
        return of_body.union(*(each.fields for each in self.texts.values()))

    @property
    def has_templates(self) -> bool:
        """True if a part of its requests is rendered of the event."""
        return self.body is not None or bool(self.texts)
