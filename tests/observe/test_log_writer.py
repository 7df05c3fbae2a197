"""The log's lines over files, pipes and terminals that nobody reads, many threads, and who speaks in between."""

import json
import logging
import os
import re
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from relay.observe import LogWriter, configure_logging, log_writer
from relay.observe.log import Log
from relay.observe.log_writer import CHUNK, CLOSE_TIMEOUT, MAX_PENDING
from tests.observe.conftest import InMemory, Observed

LONG = "x" * 1_000
MANY = 200  # of LONG: more than a pipe takes, or a terminal


class Ends:
    """Two descriptors: one that is written to, and one that is read only when the test does."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self._writing = reading, writing
        os.set_blocking(reading, False)
        self.lines = LogWriter(self)
        self.log = configure_logging(self.lines, format="json", level="info")
        self._rest = b""

    def fileno(self) -> int:
        return self._writing

    def say(self, number: int) -> None:
        self.log.info("said", number=number, text=LONG)

    def read(self) -> list[dict[str, Any]]:
        """What has come since, by whole lines."""
        with suppress(BlockingIOError):
            while piece := os.read(self.reading, 65_536):
                self._rest += piece
        *whole, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in whole]

    def read_until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        read, deadline = self.read(), monotonic() + 30
        while not enough(read):
            assert monotonic() < deadline
            sleep(0.001)
            read += self.read()
        return read

    def close(self) -> None:
        os.close(self.reading)
        with suppress(OSError):
            os.close(self._writing)


@pytest.fixture
def pipe() -> Iterator[Ends]:
    ends = Ends(*os.pipe())
    yield ends
    ends.close()


@pytest.fixture(params=["pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = Ends(*(os.pipe() if request.param == "pipe" else os.openpty()))
    yield ends
    ends.close()


def numbers(read: list[dict[str, Any]]) -> list[int]:
    return [line["number"] for line in read if line["message"] == "said"]


# ---- at once, and in the background


def test_a_line_is_written_at_once(pipe: Ends) -> None:
    pipe.say(1)
    assert numbers(pipe.read()) == [1]


def test_in_the_background_a_line_is_written_soon_and_at_the_latest_at_the_end(pipe: Ends) -> None:
    with pipe.lines.in_background():
        pipe.say(1)
        assert numbers(pipe.read_until(bool)) == [1]
        for number in range(2, 20):
            pipe.say(number)
    pipe.say(20)
    assert numbers(pipe.read()) == [*range(2, 21)]


# ---- nobody reads


def said_before_any_was_read(ends: Ends) -> list[int]:
    """The numbers of MANY lines, once all are there."""
    with ends.lines.in_background():
        begun = monotonic()
        for number in range(MANY):
            ends.say(number)
        assert monotonic() - begun < 20, "nobody reads"
        sleep(0.05)
        assert ends.lines._pending, "there was room for all"
        return numbers(ends.read_until(lambda read: len(read) == MANY))


def test_while_nobody_reads_nobody_waits_and_all_is_there_later(ends: Ends) -> None:
    assert said_before_any_was_read(ends) == [*range(MANY)]


def test_what_finds_no_room_is_counted(pipe: Ends) -> None:
    said = 2 * MAX_PENDING // len(LONG)
    with pipe.lines.in_background():
        for number in range(said):
            pipe.say(number)
        read = pipe.read_until(lambda _: not pipe.lines._pending)
        pipe.say(said)
        read += pipe.read_until(lambda more: numbers(more)[-1:] == [said])
    lost = [line for line in read if line["message"] == "lines lost"]
    *kept, last = numbers(read)
    assert (kept, last) == (sorted(kept), said)
    assert MAX_PENDING < len(kept) * (len(LONG) + 150) < MAX_PENDING + 3 * CHUNK
    assert sum(line["lines"] for line in lost) == said - len(kept)
    assert {line["level"] for line in lost} == {"warning"}


def test_the_end_waits_for_a_hanging_reader_for_a_limited_time(pipe: Ends) -> None:
    begun = monotonic()
    with pipe.lines.in_background():
        for number in range(MANY):
            pipe.say(number)
    assert CLOSE_TIMEOUT <= monotonic() - begun < CLOSE_TIMEOUT + 20
    pipe.say(MANY)
    read = pipe.read_until(lambda read: len(read) == MANY + 1)
    assert numbers(read) == [*range(MANY + 1)]


def test_a_pipe_set_to_non_blocking_loses_nothing(pipe: Ends) -> None:
    os.set_blocking(pipe.fileno(), False)
    assert said_before_any_was_read(pipe) == [*range(MANY)]


# ---- the file cannot be written


def test_a_log_that_cannot_be_written_stops_nobody(pipe: Ends) -> None:
    with Path("/dev/full").open("w") as file:
        full = LogWriter(file)
        log = configure_logging(full, format="text", level="info")
        log.info("no space left")
    log.info("to nobody")
    os.close(pipe.reading)
    pipe.say(1)
    pipe.reading = os.open("/dev/null", os.O_RDONLY)
    assert not full._pending
    assert not pipe.lines._pending


@pytest.mark.parametrize("number", [1, 2, 10])
def test_once_it_can_be_written_again_a_line_counts_the_lost_ones(tmp_path: Path, number: int) -> None:
    path, (soft, hard) = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("w") as file:
        log = configure_logging(LogWriter(file), format="text", level="info")
        log.info("first")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
            for _ in range(number):
                log.info("lost")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        log.info("last")
    first, part, lost, last = path.read_text().splitlines()
    assert (first[-5:], len(part), last[-4:]) == ("first", 10, "last")
    assert lost.endswith(f"lines lost lines={number}")


def test_a_reused_descriptor_gets_no_lines_of_the_closed_file(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("w")
    log = configure_logging(LogWriter(file), format="text", level="info")
    number = file.fileno()
    file.close()
    with (tmp_path / "other").open("w") as other:
        assert other.fileno() == number
        log.info("said")
    assert (tmp_path / "other").read_text() == ""


# ---- many speak at once


@pytest.mark.parametrize("in_background", [False, True])
def test_lines_of_many_threads_do_not_mix(tmp_path: Path, in_background: bool) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        written = LogWriter(file)
        log = configure_logging(written, format="json", level="info")
        writers = [threading.Thread(target=say, args=[log, name]) for name in "abcd"]
        with written.in_background() if in_background else nullcontext():
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
    said = [json.loads(line)["name"] for line in path.read_text().splitlines()]
    assert sorted(said) == sorted(name * 1_000 for name in "abcd" * 200)


def say(log: Log, name: str) -> None:
    for _ in range(200):
        log.info("said", name=name * 1_000)


def test_what_is_logged_while_a_line_is_written_is_written_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the garbage collector, which may run at any point."""
    observed = Observed(level="info")
    left = [2, 1, 0]

    def interrupted(descriptor: int, piece: bytes) -> int:
        if left:
            logging.getLogger("asyncio").error("in between %s", left.pop(0))
        return os.write(descriptor, piece[:7])

    monkeypatch.setattr(log_writer, "_write_some", interrupted)
    observed.log.warning("first")
    assert re.findall("first|between .", observed.file.content()) == ["first", "between 2", "between 1", "between 0"]
    assert len(observed.lines()) == 4


def test_a_long_line_is_written_whole() -> None:
    file = InMemory()
    log = configure_logging(LogWriter(file), format="json", level="info")
    log.info("said", text="y" * 3 * CHUNK)
    assert len(json.loads(file.content())["text"]) == 3 * CHUNK
