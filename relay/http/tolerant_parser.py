"""Bytes of a response -> status and headers, also where aiohttp's parser rejects something in the head or after it.

A legible status decides: a target that counts characters where bytes are asked for has done the work, and must not be
sent it again. So where the parser fails, the head is looked for in the bytes received so far. Such a response is the
last one of its connection, because nobody knows where it ends.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpVersion11, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy

MAX_HEAD = 64 * 1024  # bytes of a head that the parser rejected; those that it accepts have limits of its own
MAX_BODY = 16 * 1024  # bytes kept of what followed such a head

_STATUS_LINE = re.compile(rb"(?:\r?\n)*HTTP/(?:1\.[0-9]|0\.9|2\.0) ([0-9]{3})(?: [^\r\n]*)?(?=\r?\n)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_START = b"HTTP/"

Messages: TypeAlias = Sequence[tuple[Any, StreamReader]]
"""Heads, each with its body, as aiohttp's protocol takes them from its parser."""


def is_interim(status: int) -> bool:
    """An interim response (RFC 9110 §15.2): the final one is still to come."""
    return 100 <= status <= 199 and status != 101


class TolerantParser:
    """Wraps the parser of one connection; buffers bytes only until the head of a response is complete."""

    __slots__ = ("_body", "_error", "_parser", "_protocol", "_received")

    def __init__(self, parser: Any, protocol: BaseProtocol) -> None:
        self._parser = parser
        self._protocol = protocol
        self._error: Exception | None = None  # why the parser failed
        self.begin()

    def begin(self) -> None:
        """Expect a response; the one before it ended cleanly."""
        self._received: bytes | None = b""  # since the last interim response; None once the final head was read
        self._body: StreamReader = EMPTY_PAYLOAD

    def feed_data(self, data: bytes) -> tuple[Messages, bool, bytes]:
        """Return what the parser returns; where it fails, the heads that are legible nevertheless."""
        received = self._received
        if received is not None:
            self._received = received + data if received else data
        if self._error is not None:
            return self._read_heads(self._error), False, b""
        try:
            parsed: tuple[Messages, bool, bytes] = self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001  whatever the parser raises
            self._error = error
            return self._read_heads(error), False, b""
        if received is not None:
            messages = parsed[0]
            if len(messages) == 1 and messages[0][0].code >= 200:  # nearly every response
                self._received, self._body = None, messages[0][1]
            else:
                self._drop_interim(messages)
        return parsed

    def feed_eof(self) -> Any:
        """Return the incomplete head, if there is one."""
        return self._parser.feed_eof() if self._error is None else None

    @property
    def illegible(self) -> HttpProcessingError | None:
        """Why the parser failed, if no final head is legible either."""
        if self._error is None or self._received is None:
            return None
        return self._error if isinstance(self._error, HttpProcessingError) else HttpProcessingError()

    def pause_reading(self) -> None:
        """Stop at the body's high-water mark."""
        if self._error is None:
            self._parser.pause_reading()

    def ended_cleanly(self) -> bool:
        """True if nothing follows the response, not even the start of another, which the next parser would miss."""
        try:
            return self._error is None and self._parser.feed_eof() is None
        except Exception:  # noqa: BLE001  a start that is not even legible
            return False

    def _drop_interim(self, messages: Messages) -> None:
        """The parser accepted these heads, if any: of the bytes received only the ones after them matter."""
        for message, body in messages:
            if not is_interim(message.code):
                self._received, self._body = None, body
                return
        if messages and self._received:
            ends = [end for _, end in _heads(self._received)]
            self._received = self._received[ends[-1] :] if ends else None  # the parser sees other lines than we do
        if self._received and len(self._received) > MAX_HEAD:
            self._received = None  # too large for us to read if the parser fails on it

    def _read_heads(self, error: Exception) -> Messages:
        """The legible heads in the bytes received; raises `error` if there is none and none can follow."""
        if self._received is None:
            if not self._body.is_eof():
                self._body.feed_eof()  # the parser failed within the body: what arrived of it is all
            raise error
        messages: list[tuple[Any, StreamReader]] = []
        received, start = self._received, 0
        for message, end in _heads(received):
            if end - start > MAX_HEAD:
                raise error
            if not is_interim(message.code):
                self._received = None
                return [*messages, (message, self._rest_as_body(received[end : end + MAX_BODY]))]
            messages.append((message, EMPTY_PAYLOAD))
            start = end
        self._received = received[start:]
        if len(self._received) > MAX_HEAD or not _may_start_a_head(self._received):
            raise error
        return messages

    def _rest_as_body(self, rest: bytes) -> StreamReader:
        """Take what arrived with the head for the whole body."""
        self._body = StreamReader(self._protocol, MAX_BODY, loop=self._protocol._loop)
        self._body.feed_data(rest)
        self._body.feed_eof()
        return self._body


def _heads(received: bytes) -> Iterator[tuple[Any, int]]:
    """Each complete head, up to the final response's, and the offset at which it ends."""
    start = 0
    while (line := _STATUS_LINE.match(received, start)) and (end := _END_OF_HEAD.search(received, line.end())):
        start = end.end()
        yield _message(int(line[1]), received[line.end() : end.start()]), start
        if not is_interim(int(line[1])):
            return


def _message(status: int, lines: bytes) -> Any:
    headers = CIMultiDictProxy(CIMultiDict(_fields(lines)))
    return RawResponseMessage(HttpVersion11, status, "", headers, (), True, None, False, False)


def _fields(lines: bytes) -> Iterator[tuple[str, str]]:
    """Lines that are header fields; others are skipped."""
    for line in lines.splitlines():
        name, colon, value = line.decode(errors="surrogateescape").partition(":")
        if colon and name.strip():
            yield name.strip(), value.strip()


def _may_start_a_head(received: bytes) -> bool:
    line, complete, _ = received.lstrip(b"\r\n").partition(b"\n")
    if complete:
        return _STATUS_LINE.match(received) is not None
    return line.startswith(_START) or _START.startswith(line)
