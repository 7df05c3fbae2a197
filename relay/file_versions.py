"""Files that are activated together -> when each was loaded, whether it has changed, and why a newer one was rejected.

A file that is mounted alone into a container is the one that was there at the start: when it is replaced outside, the
mount shows a file without a name (its link count is 0), and no edit arrives. Nothing but that count shows it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from relay.model import Json, frozen
from relay.rfc3339 import rfc3339

T = TypeVar("T")

MAX_PROBLEMS = 20  # in a report
MAX_PROBLEM_LENGTH = 500  # characters

OnOpen: TypeAlias = Callable[[Path], object]
"""Called with a file before it is opened, so that a write during the read shows as a change."""


class Stamp(NamedTuple):
    """What differs when a file was written or replaced. Unlike time and size, the ctime cannot be put back."""

    modified_ns: int
    size: int
    inode: int
    changed_ns: int


@frozen
class Loaded:
    """A file in force: which version, since when, and when it was last read and found to be this one."""

    stamp: Stamp | None
    at: datetime
    read_at: datetime


@frozen
class Rejected:
    """When a newer version was rejected, and why."""

    at: datetime
    problems: Sequence[str]


def stamp(path: Path) -> Stamp | None:
    """Stat the file; None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns)


def detached(path: Path) -> str | None:
    """Say how to mend it if newer versions of the file cannot arrive; None if they can, or it cannot be known."""
    try:
        replaced = path.stat().st_nlink == 0
    except OSError:
        return None
    return "was replaced where it is mounted from, and this is the old one: mount its folder" if replaced else None


class WatchedFiles(Generic[T]):
    """The files that `read` opens; it calls its argument with each before. They are in force after `activate`."""

    def __init__(self, read: Callable[[OnOpen], T], *, clock: Callable[[], datetime]) -> None:
        self._read = read
        self._clock = clock
        self._last_read: Mapping[Path, Stamp | None] = {}
        self._loaded: dict[Path, Loaded] = {}
        self._rejected: Rejected | None = None

    def read(self) -> T:
        """Read the files without activating them. Any thread may call it."""
        found: dict[Path, Stamp | None] = {}

        def on_open(path: Path) -> None:
            if path not in found:
                found[path] = stamp(path)

        try:
            return self._read(on_open)
        finally:
            self._last_read = found

    def activate(self) -> None:
        """Put in force what was read last."""
        now, before = self._clock(), self._loaded
        self._rejected = None
        self._loaded = {
            path: Loaded(stamp=found, at=_since(before.get(path), found) or now, read_at=now)
            for path, found in self._last_read.items()
        }

    def reject(self, problems: Sequence[str]) -> None:
        """Leave in force what was before the last read."""
        self._rejected = Rejected(at=self._clock(), problems=problems)

    @property
    def last_read(self) -> Mapping[Path, Stamp | None]:
        """The files of the last read, good or not, as they were then."""
        return self._last_read

    def now(self) -> Mapping[Path, Stamp | None]:
        """The same files as they are now."""
        return {path: stamp(path) for path in self._last_read}

    def loaded(self) -> list[Json]:
        """List the files in force, as a report shows them."""
        return [
            {
                "file": str(path.absolute()),
                "written_at": _written_at(each.stamp),
                "loaded_at": rfc3339(each.at),
                "read_at": rfc3339(each.read_at),
                "warning": detached(path),
            }
            for path, each in self._loaded.items()
        ]

    def rejected(self) -> list[Json]:
        """Return the last rejection, if it still holds: which files are newer than those in force, and the problems."""
        if self._rejected is None:
            return []
        newer = [
            {"file": str(path.absolute()), "written_at": _written_at(found)}
            for path, found in self._last_read.items()
            if path not in self._loaded or self._loaded[path].stamp != found
        ]
        problems = [each[:MAX_PROBLEM_LENGTH] for each in self._rejected.problems[:MAX_PROBLEMS]]
        return [{"at": rfc3339(self._rejected.at), "files": newer, "problems": problems}]


def _since(before: Loaded | None, found: Stamp | None) -> datetime | None:
    """Since when this version is in force; None if it was not before."""
    return before.at if before and before.stamp == found else None


def _written_at(found: Stamp | None) -> str | None:
    """None if the file is not there."""
    if found is None:
        return None
    return rfc3339(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found.modified_ns // 1000))
