"""The log's lines over files, pipes that nobody reads, many threads, and a garbage collector that speaks in between."""

import asyncio
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
from structlog.typing import FilteringBoundLogger

from relay.observe import configure_logging, lines
from relay.observe.lines import MOST_WAITING
from tests.observe.conftest import Observed

LONG = "x" * 1_000


class Pipe:
    """Read only when the test does; it takes 64 KiB before that."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.file: TextIO = os.fdopen(writing, "w")
        self.rest = b""

    def read(self) -> list[dict[str, object]]:
        """What has come since, by whole lines."""
        with suppress(BlockingIOError):
            while piece := os.read(self.reading, 65_536):
                self.rest += piece
        *whole, self.rest = self.rest.split(b"\n")
        return [json.loads(line) for line in whole]

    def close(self) -> None:
        self.file.close()
        os.close(self.reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def log(pipe: Pipe) -> FilteringBoundLogger:
    return configure_logging(format="json", level="info", file=pipe.file)


def numbers(read: list[dict[str, object]]) -> list[object]:
    return [line.get("number", line["message"]) for line in read]


# ---- in time


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe, log: FilteringBoundLogger) -> None:
    log.info("said", number=1)
    assert numbers(pipe.read()) == [1]


async def test_what_is_said_in_one_turn_of_the_loop_is_written_together_and_trouble_at_once(
    pipe: Pipe, log: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    write = os.write
    monkeypatch.setattr(lines.os, "write", lambda file, piece: pieces.append(bytes(piece)) or write(file, piece))
    for number in range(3):
        log.info("said", number=number)
    assert pipe.read() == []
    await asyncio.sleep(0)
    assert (numbers(pipe.read()), len(pieces)) == ([0, 1, 2], 1)
    log.info("said", number=3)
    log.warning("trouble", number=4)
    assert (numbers(pipe.read()), len(pieces)) == ([3, 4], 2)
    await asyncio.sleep(0)
    assert len(pieces) == 2


# ---- nobody reads


async def test_while_nobody_reads_nobody_waits_and_all_is_there_later(pipe: Pipe, log: FilteringBoundLogger) -> None:
    for number in range(500):
        (log.info if number % 2 else log.warning)("said", number=number, text=LONG)
        await asyncio.sleep(0)
    read = pipe.read()
    assert 0 < len(read) < 100
    async with asyncio.timeout(10):
        while len(read) < 500:
            await asyncio.sleep(0.01)
            read += pipe.read()
    assert numbers(read) == [*range(500)]


def test_without_a_loop_too(pipe: Pipe, log: FilteringBoundLogger) -> None:
    for number in range(500):
        log.warning("said", number=number, text=LONG)
    read: list[dict[str, object]] = []
    for number in range(500, 600):
        read += pipe.read()
        log.warning("said", number=number)
    assert numbers(read + pipe.read()) == [*range(600)]


def test_what_finds_no_room_is_counted(pipe: Pipe, log: FilteringBoundLogger) -> None:
    size = len(LONG)
    for number in range(2 * MOST_WAITING // size):
        log.info("said", number=number, text=LONG)
    read: list[dict[str, object]] = []
    for _ in range(100):
        read += pipe.read()
        log.info("again")
    read += pipe.read()
    again = sum(line["message"] == "again" for line in read)
    [lost] = [line for line in read if line["message"] == "lines lost"]
    said = [line["number"] for line in read if line["message"] == "said"]
    assert said == [*range(len(said))]
    assert len(said) * (size + 150) > MOST_WAITING
    assert (lost["level"], lost["lines"]) == ("warning", 2 * MOST_WAITING // size - len(said) + 100 - again)


async def test_room_that_another_process_has_taken_meanwhile_costs_no_line(
    pipe: Pipe, log: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(lines, "_takes_more", lambda _descriptor: True)
        os.set_blocking(pipe.file.fileno(), False)
        for number in range(100):
            log.warning("said", number=number, text=LONG)
    read = pipe.read()
    assert len(read) < 100
    async with asyncio.timeout(10):
        while len(read) < 100:
            await asyncio.sleep(0.01)
            read += pipe.read()
    assert numbers(read) == [*range(100)]


# ---- the file cannot be written


def test_a_log_that_cannot_be_written_stops_nobody(pipe: Pipe) -> None:
    file = Path("/dev/full").open("w")  # noqa: SIM115  closed below, while the log has it
    log = configure_logging(format="text", level="info", file=file)
    log.info("no space left")
    file.close()
    log.info("to nobody")
    log = configure_logging(format="text", level="info", file=pipe.file)
    os.close(pipe.reading)
    log.info("nobody will ever read")
    pipe.reading = os.open("/dev/null", os.O_RDONLY)


def test_who_has_a_closed_files_number_gets_none_of_its_lines(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("w")
    log = configure_logging(format="text", level="info", file=file)
    number = file.fileno()
    file.close()
    with (tmp_path / "other").open("w") as other:
        assert other.fileno() == number
        log.info("said")
    assert (tmp_path / "other").read_text() == ""


# ---- many speak at once


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        log = configure_logging(format="json", level="info", file=file)
        writers = [threading.Thread(target=say, args=[log, name]) for name in "abcd"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    said = [json.loads(line)["name"] for line in path.read_text().splitlines()]
    assert sorted(said) == sorted(name * 20_000 for name in "abcd" * 200)


def say(log: FilteringBoundLogger, name: str) -> None:
    for _ in range(200):
        log.info("said", name=name * 20_000)  # in several pieces, so that writing gives way to other threads


async def test_lines_of_the_loop_and_of_threads_are_all_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    turns = 0
    with path.open("w") as file:
        log = configure_logging(format="json", level="info", file=file)
        threads = [asyncio.create_task(asyncio.to_thread(say, log, name)) for name in "abc"]
        while not all(thread.done() for thread in threads):
            log.info("said", name="loop")
            turns += 1
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    said = Counter(json.loads(line)["name"][:1] for line in path.read_text().splitlines())
    assert said == dict.fromkeys("abc", 200) | {"l": turns}


def test_what_is_logged_while_a_line_is_written_is_written_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the garbage collector, which may run at any point."""
    observed = Observed(level="info")
    write, left = os.write, [2, 1, 0]

    def interrupted(file: int, piece: bytes) -> int:
        if left:
            logging.getLogger("asyncio").error("in between %s", left.pop(0))
        return write(file, piece)

    monkeypatch.setattr(lines.os, "write", interrupted)
    observed.log.warning("first")
    assert [line.split(" ", 1)[1] for line in observed.lines()] == [
        "warn  first",
        'error asyncio text="in between 2"',
        'error asyncio text="in between 1"',
        'error asyncio text="in between 0"',
    ]
