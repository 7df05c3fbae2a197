"""Which entries of the audit are wanted -> the values of the statement that lists them, of either store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from relay.store import cursors
from relay.store.times import to_ms

_LATEST = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """All that is given must hold; `since` is included, `until` is not."""

    id: str | None = None
    who: str | None = None
    command: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def equal(self) -> Mapping[str, str]:
        """The columns that must have a value, by name."""
        wanted = {"id": self.id, "who": self.who, "command": self.command}
        return {name: value for name, value in wanted.items() if value is not None}

    def bounds(self, before: str | None) -> Mapping[str, int | str]:
        """From `since` up to what is before (`at`, `last`): the cursor, or `until` if that is earlier."""
        at, last = (_LATEST, "") if before is None else cursors.key("audit", before, int, str)
        end = min((at, last), (_LATEST if self.until is None else to_ms(self.until), ""))
        return {"since": 0 if self.since is None else to_ms(self.since), "at": end[0], "last": end[1]}
