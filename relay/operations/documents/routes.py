"""What was found out about a routes file, and where events go by it; shapes as `route_views` makes them."""

from dataclasses import dataclass
from typing import Annotated

from relay.operations.documents.marks import EVENT, PERSONAL, AnyJson


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceDocument:
    """A problem at a place of the file; line and column count from 1, and are 0 if it is of the file as a whole."""

    line: int
    column: int
    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTestDocument:
    """How one of the file's own tests went."""

    name: str
    line: int
    column: int
    passed: bool
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDocument:
    """Whether a routes file is `good`: it can be used, and does what its tests say.

    `counts`: how many sources, targets and routes it has; null if it cannot be read. `misfit`: what is wrong with the
    certificate, which is among the errors too.
    """

    file: str
    good: bool
    errors: tuple[PlaceDocument, ...]
    warnings: tuple[PlaceDocument, ...]
    notes: tuple[str, ...]
    tests: tuple[RouteTestDocument, ...]
    counts: dict[str, int] | None = None
    misfit: tuple[str, ...] = ()


# ---- explain


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionDocument:
    """A key of a match, as written, the values of the event, and whether it held."""

    field: str
    condition: str
    values: Annotated[tuple[str, ...], PERSONAL]
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplanationDocument:
    """Whether a route takes the event, and why; `stopped`: why it takes nothing, if so."""

    route: str
    matched: bool
    otherwise: bool
    unparsed: bool
    targets: tuple[str, ...]
    checks: tuple[ConditionDocument, ...]
    stopped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventExplanationDocument:
    """An event, what each route says of it, and the request that each target would get; secrets are `***`."""

    event: Annotated[AnyJson, EVENT]
    routes: tuple[RouteExplanationDocument, ...]
    requests: Annotated[AnyJson, PERSONAL]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationDocument:
    """The events of a body or of the store; `raw`: how routes send on one that cannot be read."""

    events: tuple[EventExplanationDocument, ...]
    raw: Annotated[AnyJson, PERSONAL] = None


# ---- diff


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchesDocument:
    """The routes that take an event, and their targets."""

    routes: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingChangeDocument:
    """An event that would go elsewhere."""

    id: str
    type: str
    entity_id: str
    before: MatchesDocument
    after: MatchesDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChangeDocument:
    """A target, source or account, or with an empty name a section, that is `new`, `gone` or `changed`.

    `settings`: the names of those that differ. What is masked in the draft counts as it is in the file; what is written
    in place of a hidden value of the file in force is always a change for a viewer, who could find it out by guesses.
    """

    section: str
    name: str
    change: str
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesDiffDocument:
    """Of `events` so many would go elsewhere: by target, those that it would get in addition, and those it would lose.

    `changes` has the first of them. `next`: the look ended by its budget of 80 ms, and goes on from this cursor.
    `settings`: what the edit changes besides the routes, without values.
    """

    events: int
    also: dict[str, int]
    no_longer: dict[str, int]
    changed: int
    changes: tuple[RoutingChangeDocument, ...]
    next: str | None = None
    settings: tuple[SettingsChangeDocument, ...] = ()


# ---- the routes in force


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDocument:
    """A route, the line of the file where it begins, and its targets; `stopped`: why it takes nothing, if so."""

    name: str
    line: int
    targets: tuple[str, ...]
    otherwise: bool
    unparsed: bool
    stopped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyDocument:
    """A receiver of notifications, in the order of the file, and what it is notified of.

    `name`: what its messages begin with; empty: the name of the host.
    """

    receiver: str
    name: str
    kinds: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWarningDocument:
    """What may be a mistake at a place of the file in force; its `message` may quote a value of a match."""

    line: int
    column: int
    path: str
    message: Annotated[str, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesDocument:
    """The routes in force; `etag` is the same for the same file, whatever its secrets are, and is the ETag, too.

    `text`: the file in force, without comments, and `***` for what may be secret. `warnings`: what may be a mistake.
    """

    file: str
    etag: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    routes: tuple[RouteDocument, ...]
    warnings: tuple[RouteWarningDocument, ...]
    text: Annotated[str, PERSONAL]
    notify: tuple[NotifyDocument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadDocument:
    """What was loaded again, and what is to be looked at."""

    activated: tuple[str, ...]
    warnings: tuple[str, ...]
