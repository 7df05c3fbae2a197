"""Files that are taken up together -> when each was loaded, and why a newer one was refused.

A file that is mounted alone into a container is the one that was there at the start: when it is replaced outside, what
is mounted has no name any more (its link count is 0), and no edit arrives. Nothing but that count tells.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from relay.frozen import frozen
from relay.model import Json
from relay.rfc3339 import rfc3339

T = TypeVar("T")

MOST_PROBLEMS = 20  # that a report lists
MOST_OF_EACH = 500  # characters

Note: TypeAlias = Callable[[Path], object]
"""Told of a file before it is opened, so that what is written while it is read is noticed."""


class Stamp(NamedTuple):
    """What differs when a file was written or replaced. Its ctime cannot be put back, as its time and size can."""

    modified_ns: int
    size: int
    inode: int
    changed_ns: int


@frozen
class Loaded:
    """A file in force: which version, and since when."""

    stamp: Stamp | None
    at: datetime


@frozen
class WebhookRejected:
    """What was not taken up, and why."""

    at: datetime
    problems: Sequence[str]


def stamp(path: Path) -> Stamp | None:
    """None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns)


def outdated(path: Path) -> str | None:
    """What to mend if newer versions of the file cannot arrive; None if they can, or it cannot be told."""
    try:
        replaced = path.stat().st_nlink == 0
    except OSError:
        return None
    return "was replaced where it is mounted from, and this is the old one: mount its folder" if replaced else None


class Watched(Generic[T]):
    """Files that `read` reads, which is given a `Note` to tell of each. They are in force once `take_up` is called."""

    def __init__(self, read: Callable[[Note], T], *, clock: Callable[[], datetime]) -> None:
        self._read = read
        self._clock = clock
        self._seen: Mapping[Path, Stamp | None] = {}
        self._loaded: dict[Path, Loaded] = {}
        self._refused: WebhookRejected | None = None

    def read(self) -> T:
        """What the files hold now; they are not in force yet. Any thread may call it."""
        seen: dict[Path, Stamp | None] = {}

        def note(path: Path) -> None:
            if path not in seen:
                seen[path] = stamp(path)

        try:
            return self._read(note)
        finally:
            self._seen = seen

    def take_up(self) -> None:
        """What was read last is in force."""
        now, before = self._clock(), self._loaded
        self._refused = None
        self._loaded = {
            path: before[path] if path in before and before[path].stamp == found else Loaded(stamp=found, at=now)
            for path, found in self._seen.items()
        }

    def refuse(self, problems: Sequence[str]) -> None:
        """What was read last is not in force, and what was before still is."""
        self._refused = WebhookRejected(at=self._clock(), problems=problems)

    @property
    def seen(self) -> Mapping[Path, Stamp | None]:
        """The files that were read last, good or not, as they were then."""
        return self._seen

    def now(self) -> Mapping[Path, Stamp | None]:
        """The same files as they are now."""
        return {path: stamp(path) for path in self._seen}

    def loaded(self) -> list[Json]:
        """The files in force, as a report lists them."""
        return [
            {
                "file": str(path.absolute()),
                "written_at": _written_at(each.stamp),
                "loaded_at": rfc3339(each.at),
                "warning": outdated(path),
            }
            for path, each in self._loaded.items()
        ]

    def refused(self) -> list[Json]:
        """None, or the one refusal: which files are newer than those in force, and what is wrong."""
        if self._refused is None:
            return []
        newer = [
            {"file": str(path.absolute()), "written_at": _written_at(found)}
            for path, found in self._seen.items()
            if path not in self._loaded or self._loaded[path].stamp != found
        ]
        problems = [each[:MOST_OF_EACH] for each in self._refused.problems[:MOST_PROBLEMS]]
        return [{"at": rfc3339(self._refused.at), "files": newer, "problems": problems}]


def _written_at(found: Stamp | None) -> str | None:
    """None if the file is not there."""
    if found is None:
        return None
    return rfc3339(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found.modified_ns // 1000))
