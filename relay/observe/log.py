"""A log call -> one line, text or JSON, on stderr; also for the libraries that use `logging`.

    2026-11-22T10:53:00.123Z warn  attempt target=bot event=01998f… entity=leads entity_id=2 attempt=1 outcome=retry …
    {"time":"2026-11-22T10:53:00.123Z","level":"warning","message":"attempt","target":"bot","event":"01998f…",…}

A line is one line: what could end it or colour a terminal (control, bidi and other format characters, U+2028, lone
surrogates) is escaped. A field that is None is left out.
"""

import json
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeAlias

from relay.observe.log_writer import LogWriter
from relay.printable import printable
from relay.rfc3339 import rfc3339, rfc3339_of_seconds

FOREIGN_PER_SECOND = 10
MAX_TEXT = 500
MAX_TRACE = 4_000

MILLISECOND = timedelta(milliseconds=1)

Clock: TypeAlias = Callable[[], float]
"""Seconds since 1970."""

Style: TypeAlias = Literal["text", "json"]


class Log:
    """`log.info("attempt", target="bot", status=503)` writes one line, if its level is not below `level`.

    Any thread may call it. `write` takes a line as `style` has it, with the time of `timestamp`.
    """

    def __init__(self, write: Callable[[str], None], style: Style, level: int, clock: Clock = time.time) -> None:
        self.write = write
        self.style = style
        self._as_line = _text if style == "text" else _json
        self._level = level
        self._clock = clock
        self.debug = partial(self.log, logging.DEBUG)
        self.info = partial(self.log, logging.INFO)
        self.warning = partial(self.log, logging.WARNING)
        self.error = partial(self.log, logging.ERROR)

    def log(self, level: int, message: str, /, **fields: object) -> None:
        """Write a line, without the fields that are None."""
        if level >= self._level:
            self.write(self.line(level, message, fields))

    def line(self, level: int, message: str, fields: Mapping[str, object]) -> str:
        """Format a line, without its end."""
        return self._as_line(self.timestamp(), level, message, fields)

    def is_enabled_for(self, level: int) -> bool:
        """Whether a line of this level is written."""
        return level >= self._level

    def timestamp(self) -> str:
        """Return the present time as lines have it."""
        return rfc3339_of_seconds(self._clock())


def configure_logging(
    lines: LogWriter,
    *,
    format: Style,  # noqa: A002  the name of the flag
    level: str,
    clock: Clock = time.time,
) -> Log:
    """Make the relay's log, which writes to `lines` from `level` (debug, info, warning, error) up.

    The standard `logging` is routed into it from WARNING up.
    """
    log = Log(lines.write, format, logging.getLevelNamesMapping()[level.upper()], clock)
    lines.line_of_lost = lambda number: log.line(logging.WARNING, "lines lost", {"lines": number})
    logging.basicConfig(handlers=[_Foreign(log, clock)], level=logging.WARNING, force=True)
    return log


def milliseconds(took: timedelta) -> float:
    """Return a duration as lines have it."""
    return round(took / MILLISECOND, 1)


# ---- as text


_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info ",
    logging.WARNING: "warn ",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_bare = re.compile(r"[\w.:/+@,-]+").fullmatch  # \w has neither control nor format characters


def _text(timestamp: str, level: int, message: str, fields: Mapping[str, object]) -> str:
    line = f"{timestamp} {_LEVELS[level]} {printable(message)}"
    for name, value in fields.items():
        if value is not None:
            line += f" {name}={value_as_text(value)}"
    return line


def value_as_text(value: object) -> str:
    """Format a value that is not None, quoted if it has to be."""
    match value:
        case str():
            return value if _bare(value) else _quoted(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return rfc3339(value)
        case list() | tuple():
            text = "; ".join(map(str, value))
        case _:
            text = str(value)
    return text if _bare(text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


# ---- as JSON


def _json(timestamp: str, level: int, message: str, fields: Mapping[str, object]) -> str:
    head = {"time": timestamp, "level": logging.getLevelName(level).lower(), "message": message}
    return _encode(head | {name: value for name, value in fields.items() if value is not None})


def _plain(value: object) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_plain).encode


# ---- limits


class LineLimiter:
    """Admit at most `per_second` lines of each key in each second of `clock`. Keys must be a bounded set."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.RLock()  # reentrant: the garbage collector may run in here, and a finalizer may log

    def admit(self, key: str) -> int | None:
        """The number of lines suppressed since the last admitted one; None: suppress this one, too."""
        this_second = int(self._clock())
        with self._lock:
            second, admitted, held_back = self._seen.get(key, (this_second, 0, 0))
            if second != this_second:
                admitted = 0
            if admitted == self._per_second:
                self._seen[key] = this_second, admitted, held_back + 1
                return None
            self._seen[key] = this_second, admitted + 1, 0
            return held_back


# ---- records of other libraries


class _Foreign(logging.Handler):
    """Write `logging` records as lines of this log.

    Unauthenticated clients can trigger them, so each kind (logger and class of the error) is limited to ten a second.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._limiter = LineLimiter(FOREIGN_PER_SECOND, clock)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        kind = type(error).__name__ if error else None
        held_back = self._limiter.admit(f"{record.name} {kind}")
        if held_back is None:
            return
        fault = getattr(record, "request", None)
        peer = fault is None and error is not None and _of_a_peer(error)
        self._log.log(
            logging.WARNING if peer else min(record.levelno // 10 * 10, logging.CRITICAL),
            record.name,
            text=_masked(_said(record))[:MAX_TEXT],
            error=kind,
            trace=_masked(trace_of(error)) if error and not peer else None,
            request=fault,
            held_back=held_back or None,
        )


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the message
        return str(record.msg)


def _of_a_peer(error: BaseException) -> bool:
    """Whether the peer of a connection caused it; its text may repeat bytes of the request."""
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.partition(".")[0] in {
        "aiohttp",
        "ssl",
    }


def trace_of(error: BaseException) -> str:
    """The traceback as text, its last 4,000 characters."""
    return "".join(traceback.format_exception(error))[-MAX_TRACE:]


def _masked(text: str) -> str:
    """Mask the tokens in hook paths."""
    return re.sub(r"(/hooks/+[^/\s]*/+)[^\s'\"<>]+", r"\1***", text)
