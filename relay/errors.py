"""Every error the relay raises on purpose.

    RelayError
    ├── Unreadable         a body that is not amoCRM's; the webhook is kept as unparsed
    ├── RoutesInvalid      a routes file with problems, all of them, each with line and column
    ├── Misconfigured      a flag, a variable or the machine is not fit to start with
    ├── BadCursor          a cursor that this listing did not print
    └── StoreError
        ├── StoreUnsafe    the database cannot promise what we promise: refuse to start
        ├── StoreLocked    another relay has this database open
        ├── StoreBusy      this commit did not happen or is unknown; it may be tried again
        ├── StoreFailed    the disk failed under us; nothing more may be promised, exit
        └── Damaged        one thing in it is not what was kept, and must not be sent

The text of each says what, where, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class RelayError(Exception):
    """The root: the command line prints its text as one line and exits."""


class Unreadable(RelayError):
    """The body cannot be read as amoCRM events; the text is the webhook's `unparsed` reason."""


class Misconfigured(RelayError):
    """Started with something that cannot work."""


class BadCursor(RelayError):
    """The listing cannot go on after this: no store printed it, or for another listing."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a routes file; `line` and `column` count from 1, or are 0 for a file nobody could read."""

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
    """The routes file cannot be used; `problems` has every reason, in file order."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line for each problem."""
        return [problem.text(self.file) for problem in self.problems]


class StoreError(RelayError):
    """The store cannot do what it was asked."""


class StoreUnsafe(StoreError):
    """The database does not keep the settings that durability rests on."""


class StoreLocked(StoreError):
    """One daemon per file."""


class StoreBusy(StoreError):
    """Not committed as far as we know: disk full, locked by somebody, or too slow. Repeat with the same ids."""


class StoreFailed(StoreError):
    """An I/O error or a corrupt file: a commit reported after this could be a lie."""


class Corrupt(StoreError):
    """Its checksum tells."""
