"""A log call -> one line, text or JSON, on stderr; also for the libraries that use `logging`.

    2026-11-22T10:53:00.123Z info  attempt target=bot event=01998f… attempt=2 outcome=retry reason=5xx status=503
    {"time":"2026-11-22T10:53:00.123Z","level":"info","message":"attempt","target":"bot","event":"01998f…",…}

A line is one line: what could end it or colour a terminal (control, bidi and other format characters, U+2028, lone
surrogates) is escaped. A field that is None is left out.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from relay.observe.limiter import Limiter
from relay.observe.lines import Lines

FOREIGN_PER_SECOND = 10
MAX_TEXT = 500
MAX_TRACE = 4_000

Clock: TypeAlias = Callable[[], float]
"""Seconds since 1970."""

AsLine: TypeAlias = Callable[[object, str, MutableMapping[str, Any]], str]
"""The logger, the level and the fields, which it may take apart, as structlog calls a processor -> the line."""


def configure_logging(
    lines: Lines,
    *,
    format: Literal["text", "json"],  # noqa: A002  the name of the flag
    level: str,
    clock: Clock = time.time,
) -> FilteringBoundLogger:
    """The relay's log, as `lines`, from `level` (debug, info, warning, error) up.

    `logging` is routed into it from WARNING up. A field to be called `event` is passed as `_event`, for structlog
    calls the message so.
    """
    as_line = _text(clock) if format == "text" else _json(clock)
    lines.line_of_lost = lambda number: as_line(None, "warning", {"event": "lines lost", "lines": number})
    log: FilteringBoundLogger = structlog.wrap_logger(
        lines,
        processors=[as_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    ).bind()
    logging.basicConfig(handlers=[_Foreign(log, clock)], level=logging.WARNING, force=True)
    return log


def _fields(passed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those that have a value, and `_event` by its right name; this runs for every attempt."""
    return [("event" if name == "_event" else name, value) for name, value in passed.items() if value is not None]


def stamp(seconds: float) -> str:
    """RFC 3339, UTC, to the millisecond."""
    whole, ms = divmod(round(seconds * 1_000), 1_000)
    return f"{_second(whole)}.{ms:03}Z"


@lru_cache(maxsize=64)  # most lines share their second with the line before
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# ---- as text


_LEVELS = {"debug": "debug", "info": "info ", "warning": "warn ", "error": "error", "critical": "fatal"}
_bare = re.compile(r"[\w.:/+@,-]+").fullmatch  # \w has neither control nor format characters


def _text(clock: Clock) -> AsLine:
    def line(_log: object, level: str, passed: MutableMapping[str, Any]) -> str:
        head = f"{stamp(clock())} {_LEVELS[level]} {_printable(passed.pop('event'))}"
        return " ".join([head, *[f"{name}={_value(value)}" for name, value in _fields(passed)]])

    return line


def _value(value: object) -> str:
    match value:
        case str():
            text = value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return stamp(value.timestamp())
        case list() | tuple():
            text = "; ".join(map(str, value))
        case _:
            text = str(value)
    return text if _bare(text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_printable(escaped)}"'


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# ---- as JSON


def _json(clock: Clock) -> AsLine:
    def line(_log: object, level: str, passed: MutableMapping[str, Any]) -> str:
        head = {"time": stamp(clock()), "level": level, "message": passed.pop("event")}
        return _encode(head | dict(_fields(passed)))

    return line


def _plain(value: object) -> str:
    return stamp(value.timestamp()) if isinstance(value, datetime) else str(value)


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_plain).encode


# ---- what other libraries say


class _Foreign(logging.Handler):
    """A `logging` record -> a line of ours.

    Strangers can cause them, so each kind (a logger and the class of its error) has ten a second.
    """

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._limiter = Limiter(FOREIGN_PER_SECOND, clock)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        kind = type(error).__name__ if error else None
        held_back = self._limiter.admit(f"{record.name} {kind}")
        if held_back is None:
            return
        peer = error is not None and _of_a_peer(error)
        self._log.log(
            logging.WARNING if peer else min(record.levelno // 10 * 10, logging.CRITICAL),
            record.name,
            text=_masked(_said(record))[:MAX_TEXT],
            error=kind,
            trace=_masked(_trace(error)) if error and not peer else None,
            held_back=held_back or None,
        )


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the text
        return str(record.msg)


def _of_a_peer(error: BaseException) -> bool:
    """Whether somebody at the other end of a connection did it; its text repeats bytes of the request."""
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.partition(".")[0] in {
        "aiohttp",
        "ssl",
    }


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-MAX_TRACE:]


def _masked(text: str) -> str:
    """Without the tokens of hook paths."""
    return re.sub(r"(/hooks/+[^/\s]*/+)[^\s'\"<>]+", r"\1***", text)
