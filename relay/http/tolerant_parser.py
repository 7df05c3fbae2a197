"""Bytes of an answer -> its status and headers, also where aiohttp's parser refuses something in them or after them.

Once the head of an answer can be read its status decides: a target that counts characters where bytes are asked for has
done the work, and is not to be sent it again. So where the parser fails, the head is looked for in the bytes that have
arrived. Such an answer is the last one of its connection: nobody knows where it ends.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, HttpVersion11, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy

MOST_HEAD = 64 * 1024  # bytes of a head that the parser refuses; what it takes has limits of its own
MOST_BODY = 16 * 1024  # bytes kept of what came with such a head

_STATUS_LINE = re.compile(rb"(?:\r?\n)*HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n]*)?(?=\r?\n)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_START = b"HTTP/1."

Messages: TypeAlias = Sequence[tuple[Any, StreamReader]]
"""Heads, each with its body, as aiohttp's protocol takes them from its parser."""


def is_news(status: int) -> bool:
    """An interim response (RFC 9110 §15.2): the answer is still to come."""
    return 100 <= status <= 199 and status != 101


class TolerantParser:
    """Stands before the parser of a protocol, for one answer. Bytes are kept only until its head is complete."""

    __slots__ = ("_body", "_error", "_heard", "_parser", "_protocol")

    def __init__(self, parser: Any, protocol: ResponseHandler) -> None:
        self._parser = parser
        self._protocol = protocol
        self._heard: bytes | None = b""  # since the last interim response; None once the head needs them no more
        self._error: Exception | None = None  # why the parser failed
        self._body: StreamReader = EMPTY_PAYLOAD

    def feed_data(self, data: bytes) -> tuple[Messages, bool, bytes]:
        """What the parser makes of it; if it fails on a head that can be read, what can be read."""
        heard = self._heard
        if heard is not None:
            self._heard = heard + data if heard else data
        if self._error is not None:
            return self._read(self._error), False, b""
        try:
            fed: tuple[Messages, bool, bytes] = self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001  whatever it stumbles over
            self._error = error
            return self._read(error), False, b""
        if heard is not None:
            messages = fed[0]
            if len(messages) == 1 and messages[0][0].code >= 200:  # as it is for nearly every answer
                self._heard, self._body = None, messages[0][1]
            else:
                self._note(messages)
        return fed

    def feed_eof(self) -> Any:
        """The head that was being read, if any."""
        if self._error is None:
            return self._parser.feed_eof()
        if self._heard is not None:
            error = self._error if isinstance(self._error, HttpProcessingError) else HttpProcessingError()
            self._protocol.set_exception(error)
        return None

    def pause_reading(self) -> None:
        """More of the body is kept than is read."""
        if self._error is None:
            self._parser.pause_reading()

    def said_no_more(self) -> bool:
        """After the answer there is not even the start of another, which the next parser would not know of."""
        try:
            return self._error is None and self._parser.feed_eof() is None
        except Exception:  # noqa: BLE001  what was started cannot even be read
            return False

    def _note(self, messages: Messages) -> None:
        """The parser understood these heads, or none yet."""
        for message, body in messages:
            if not is_news(message.code):
                self._heard, self._body = None, body
                return
        if messages and self._heard:
            *_, (_, start) = _heads(self._heard)
            self._heard = self._heard[start:]
        if self._heard and len(self._heard) > MOST_HEAD:
            self._heard = None  # too much for us to read

    def _read(self, error: Exception) -> Messages:
        """The heads in what was heard; `error` if it holds none and never will."""
        if self._heard is None:
            if not self._body.is_eof():
                self._body.feed_eof()  # what came of it is all
            raise error
        messages: list[tuple[Any, StreamReader]] = []
        heard, start = self._heard, 0
        for message, end in _heads(heard):
            if end - start > MOST_HEAD:
                raise error
            if not is_news(message.code):
                self._heard = None
                return [*messages, (message, self._rest(heard[end : end + MOST_BODY]))]
            messages.append((message, EMPTY_PAYLOAD))
            start = end
        self._heard = heard[start:]
        if len(self._heard) > MOST_HEAD or not _may_be_a_head(self._heard):
            raise error
        return messages

    def _rest(self, came: bytes) -> StreamReader:
        """What came with the head stands for the body; nobody waits for more."""
        self._body = StreamReader(self._protocol, MOST_BODY, loop=self._protocol._loop)
        self._body.feed_data(came)
        self._body.feed_eof()
        return self._body


def _heads(heard: bytes) -> Iterator[tuple[Any, int]]:
    """Each complete head, up to that of the answer, and where it ends."""
    start = 0
    while (line := _STATUS_LINE.match(heard, start)) and (end := _END_OF_HEAD.search(heard, line.end())):
        start = end.end()
        yield _message(int(line[1]), heard[line.end() : end.start()]), start
        if not is_news(int(line[1])):
            return


def _message(status: int, lines: bytes) -> Any:
    headers = CIMultiDictProxy(CIMultiDict(_fields(lines)))
    return RawResponseMessage(HttpVersion11, status, "", headers, (), True, None, False, False)


def _fields(lines: bytes) -> Iterator[tuple[str, str]]:
    """Those that are fields; the others are passed over."""
    for line in lines.splitlines():
        name, colon, value = line.decode(errors="surrogateescape").partition(":")
        if colon and name.strip():
            yield name.strip(), value.strip()


def _may_be_a_head(heard: bytes) -> bool:
    """It is the start of one."""
    line, complete, _ = heard.lstrip(b"\r\n").partition(b"\n")
    if complete:
        return _STATUS_LINE.match(heard) is not None
    return line.startswith(_START) or _START.startswith(line)
