"""Routes and files in force, acts of operators and notifications, as the daemon announces them."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from relay.model import frozen
from relay.model.event_names import EventNames


class Endpoint(NamedTuple):
    """How and where a target is sent to; host and port are None if a secret stands for one of them."""

    method: str
    host: str | None = None
    port: int | None = None


@frozen
class ConfigActivated:
    """The names that count from now on: those of the routes file in use.

    `endpoints`: of each target. `names`: what amoCRM calls the things in events. `receivers`: of notifications.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    routes: Sequence[str]
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    accounts: Sequence[str] = ()
    names: EventNames = field(default_factory=lambda: EventNames({}))
    receivers: Sequence[str] = ()


@frozen
class Reloaded:
    """A reload ended: routes, certificate and access file were each activated, or left as before because of problems.

    `problems` of the routes. `activated`: some of "routes", "certificate", "access". `orphaned`: targets that have
    pending deliveries and are in the routes no more. `warnings`: files whose newer versions cannot arrive.
    """

    file: str
    problems: Sequence[str] = ()
    certificate_problems: Sequence[str] = ()
    access_problems: Sequence[str] = ()
    activated: Sequence[str] = ()
    orphaned: Sequence[str] = ()
    warnings: Sequence[str] = ()


@frozen
class Blocked:
    """The event loop came back `late`: nobody was answered and nothing sent meanwhile."""

    late: timedelta


@frozen
class FileExposed:
    """Users other than the relay's can read or change the routes file or a secret; `detail` says which and how."""

    file: str
    detail: str


@frozen
class FileDetached:
    """The mount of a watched file shows an old version: newer ones cannot arrive."""

    file: str
    detail: str


@frozen
class SpansLost:
    """A collector did not take so many spans; not emitted again for each of those that follow."""

    spans: int
    why: str


@frozen
class OperatorActed:
    """An operator did something beside the daemon, as the audit has it. Emitted again once `count` has grown."""

    command: str
    who: str
    count: int
    asked: str | None


@frozen
class Notified:
    """A notification was sent to this receiver of the routes file, or not; `outcome`: see `notify.receivers.reply`.

    `lines`: how many it has, or how many were given up. `detail`: what the receiver answered, if it did not take it.
    """

    receiver: str
    outcome: str
    lines: int
    detail: str


@frozen
class Notice:
    """What is logged once in the life of a process, and never counted: it starts, stops, or has a bug."""

    level: str
    text: str
    fields: dict[str, object]


DaemonSignal: TypeAlias = (
    ConfigActivated | Reloaded | Blocked | FileExposed | FileDetached | SpansLost | OperatorActed | Notified | Notice
)
