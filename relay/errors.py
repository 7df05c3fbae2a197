"""Exceptions the relay raises on purpose; the text of each says what happened, where, and what to do.

RelayError
├── UnreadableError       a body is not amoCRM's; its webhook is stored as unparsed
├── RoutesInvalid         a routes file has problems: all of them, each with line and column
├── ConfigurationError    a flag, a variable, a file or the machine is not fit to start with
├── BadCursor             a cursor was not issued by this listing
├── NotFoundError         no webhook, event or target has the id or name that was given
├── ConflictError         what was found is not in a state in which this can be done, or is not one thing
├── NotAllowed            the asker's role does not allow the question or act
├── ArchiveFailed         what a purge is to delete cannot be archived: nothing is deleted
├── TemplateFailed        a template has no text for this event
├── AccountError          amoCRM's API did not do what it was asked for
│   ├── AccountAway       no answer, or none that is one: repeat later
│   │   └── RateLimited   too many requests: repeat much later
│   ├── TokenRefused      there is no token, or none that the account accepts: a person has to act
│   ├── Unpaid            the account is not paid for
│   ├── Forbidden         its user has no right to this, or our address is not in its list
│   ├── Blocked           amoCRM serves this account no more, and only its support changes that: ask nothing
│   └── RequestRefused    it has no such thing, or does not take what was sent
└── StoreError
    ├── StoreUnsafe       the database cannot guarantee durability: refuse to start
    ├── StoreLocked       another relay has this database open
    ├── StoreBusy         the commit failed, or its outcome is unknown; it may be repeated
    ├── StoreFailed       the disk or the database failed: stop, nothing more can be guaranteed
    └── CorruptError      stored bytes cannot be read, or do not match their checksum and must not be sent
"""

from collections.abc import Sequence
from dataclasses import dataclass


class RelayError(Exception):
    """Root of the tree; the command line prints its text as one line and exits."""


class UnreadableError(RelayError):
    """The body cannot be read as amoCRM events; the text becomes the webhook's `unparsed` reason."""


class ConfigurationError(RelayError):
    """A flag, a variable, a file or the machine is not fit to start with."""


class BadCursor(RelayError):
    """The cursor was not issued by a store, or belongs to another listing."""


class NotFoundError(RelayError):
    """Nothing has the id or the name that was given."""


class ConflictError(RelayError):
    """An operator's act does not fit the present state of what it names, or an id fits several things."""


class NotAllowed(RelayError):
    """The role of who asks does not include the one that this question or act needs."""


class ArchiveFailed(RelayError):
    """The archive cannot be written, for want of room or permission: nothing that belongs in it is deleted."""


class TemplateFailed(RelayError):
    """A template of the routes file has no text for this event; never quotes the event or a secret.

    `place`: where in a body, `text` or `rows[1].name`; empty elsewhere.
    """

    def __init__(self, said: str, place: str = "") -> None:
        super().__init__(said)
        self.place = place


class AccountError(RelayError):
    """amoCRM's API did not do what it was asked for; never quotes a token."""


class AccountAway(AccountError):
    """No answer, or none that is one (time-out, 5xx, a page of HTML, a body cut short): repeat later."""


class RateLimited(AccountAway):
    """Too many requests for this account, also after the pauses that it asked for."""


class TokenRefused(AccountError):
    """There is no token, or none that the account accepts: a person has to make another, or to grant access again."""


class Unpaid(AccountError):
    """The account is not paid for; first its history and all writes are refused, a month later everything."""


class Forbidden(AccountError):
    """The token's user has no right to this, or the account does not serve this machine's address."""


class Blocked(AccountError):
    """The account answers 403 to everything, after too many requests; only amoCRM's support ends that."""


class RequestRefused(AccountError):
    """The account has no such thing, or does not take what was sent; `status` is its answer's."""

    def __init__(self, text: str, status: int) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem of a routes file; `line` and `column` count from 1 and are 0 if the file could not be read."""

    line: int
    column: int
    path: str
    message: str

    def text(self, file: str) -> str:
        """`routes.yaml:17:5  routes[2].to: no target 'erp2' (known: sales-bot, warehouse)`."""
        if not self.line:
            return f"{file}: {self.message}"
        where = f"{self.path}: " if self.path else ""
        return f"{file}:{self.line}:{self.column}  {where}{self.message}"


class RoutesInvalid(RelayError):
    """The routes file cannot be used; `problems` lists every reason, in file order."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Format one line per problem."""
        return [problem.text(self.file) for problem in self.problems]


class RoutesMissing(RoutesInvalid):
    """There is no routes file."""


class StoreError(RelayError):
    """A store operation failed."""


class StoreUnsafe(StoreError):
    """The database does not keep the settings that durability depends on."""


class StoreLocked(StoreError):
    """Another daemon has the database open: one daemon per file."""


class StoreBusy(StoreError):
    """The commit failed or its outcome is unknown (disk full, database locked, too slow): repeat with the same ids."""


class StoreFailed(StoreError):
    """I/O error or corrupt database file: no later commit can be trusted, so the relay stops."""


class CorruptError(StoreError):
    """Stored bytes do not match their checksum, or cannot be read as what they are."""
