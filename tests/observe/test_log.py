"""What other libraries log -> our lines, few and without secrets; and what befalls the file of a log."""

import asyncio
import json
import logging
import ssl
import threading
from collections import Counter
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from aiohttp.http_exceptions import BadStatusLine
from structlog.typing import FilteringBoundLogger

from relay.model import Secret
from relay.observe import configure_logging
from relay.observe.log import FOREIGN_PER_SECOND
from tests.observe.conftest import Observed


@pytest.fixture
def observed() -> Observed:
    return Observed("json", level="info")


def lines(observed: Observed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in observed.lines()]


def fail(name: str, error: BaseException, text: str = "Error handling request from %s") -> None:
    try:
        raise error
    except type(error):
        logging.getLogger(name).exception(text, "192.0.2.7")


def test_a_library_speaks_through_our_log(observed: Observed) -> None:
    logging.getLogger("asyncio").warning("Executing %s took %.3f seconds", "a task", 0.3)
    assert lines(observed) == [
        {
            "time": "2026-11-22T12:00:00.000Z",
            "level": "warning",
            "message": "asyncio",
            "text": "Executing a task took 0.300 seconds",
        }
    ]


def test_a_library_is_not_heard_below_warning() -> None:
    observed = Observed(level="debug")
    chatty = logging.getLogger("aiohttp.access")
    chatty.setLevel(logging.DEBUG)
    chatty.info("GET /")
    chatty.setLevel(logging.NOTSET)
    assert observed.lines() == []


def test_a_storm_is_limited_and_hides_no_other_kind_of_error(observed: Observed) -> None:
    for _ in range(5_000):
        fail("aiohttp.server", BadStatusLine("bad"))
    assert [line["error"] for line in lines(observed)] == ["BadStatusLine"] * FOREIGN_PER_SECOND
    fail("aiohttp.server", ZeroDivisionError("ours"))
    assert lines(observed)[-1]["error"] == "ZeroDivisionError"
    observed.clock.now += 1
    fail("aiohttp.server", BadStatusLine("bad"))
    assert lines(observed)[-1]["held_back"] == 5_000 - FOREIGN_PER_SECOND


@pytest.mark.parametrize(
    "error",
    [
        BadStatusLine("POST /hooks/crm/s3cret HTTP/9"),
        ClientPayloadError("s3cret"),
        ConnectionResetError("s3cret"),
        TimeoutError("s3cret"),
        ssl.SSLError("s3cret"),
    ],
)
def test_what_a_peer_did_leaves_neither_traceback_nor_its_bytes(error: BaseException, observed: Observed) -> None:
    fail("aiohttp.server", error)
    (line,) = lines(observed)
    assert (line["level"], line["error"]) == ("warning", type(error).__name__)
    assert "trace" not in line
    assert "s3cret" not in str(line)


def test_what_we_did_wrong_leaves_a_traceback_on_one_line(observed: Observed) -> None:
    fail("aiohttp.server", ZeroDivisionError("ours"))
    (line,) = lines(observed)
    assert (line["level"], line["error"]) == ("error", "ZeroDivisionError")
    assert line["trace"].startswith("Traceback")
    assert "ZeroDivisionError: ours" in line["trace"]


def test_the_token_of_a_hook_path_is_masked(observed: Observed) -> None:
    fail("aiohttp.server", RuntimeError("<Request POST /hooks/crm/s3cret >"), text="/hooks/crm/s3cret from %s")
    (line,) = lines(observed)
    assert line["text"] == "/hooks/crm/*** from 192.0.2.7"
    assert "<Request POST /hooks/crm/*** >" in line["trace"]
    assert "s3cret" not in str(line)


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    observed = Observed("json")  # here, not as a fixture, to be rid of pytest's own handler, which would raise
    logging.getLogger("asyncio").error("two %s %s", "but one came")
    assert [line["text"] for line in lines(observed)] == ["two %s %s"]


def test_a_level_between_the_known_ones_counts_as_the_lower(observed: Observed) -> None:
    logging.getLogger("asyncio").log(35, "odd")
    assert [line["level"] for line in lines(observed)] == ["warning"]


def test_a_secret_that_gets_here_prints_stars(observed: Observed) -> None:
    observed.log.info("said", token=Secret("s3cret"))
    assert [line["token"] for line in lines(observed)] == ["***"]


def test_configuring_twice_doubles_no_line(observed: Observed) -> None:
    file = StringIO()
    configure_logging(format="json", level="info", file=file)
    logging.getLogger("asyncio").error("once")
    assert len(file.getvalue().splitlines()) == 1
    assert observed.lines() == []


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    file = StringIO()
    log = configure_logging(format="text", level="info", file=file)
    file.close()
    log.info("to nobody")
    full = Path("/dev/full").open("w")  # noqa: SIM115  a `with` would raise as well when it closes
    configure_logging(format="text", level="info", file=full).info("no space left")
    with suppress(OSError):
        full.close()


class Pieces(StringIO):
    """What was written, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, piece: str) -> int:
        self.pieces.append(piece)
        return len(piece)


async def test_what_is_said_in_one_turn_of_the_loop_is_written_at_once_and_trouble_right_away() -> None:
    file = Pieces()
    log = configure_logging(format="json", level="info", file=file)
    for number in range(3):
        log.info("said", number=number)
    assert file.pieces == []
    await asyncio.sleep(0)
    assert [[json.loads(line)["number"] for line in piece.splitlines()] for piece in file.pieces] == [[0, 1, 2]]
    log.info("said")
    log.warning("trouble")
    assert [json.loads(line)["message"] for line in file.pieces[1].splitlines()] == ["said", "trouble"]
    await asyncio.sleep(0)
    assert len(file.pieces) == 2


async def test_lines_of_the_loop_and_of_threads_are_all_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        log = configure_logging(format="json", level="info", file=file)
        threads = [asyncio.create_task(asyncio.to_thread(say, log, name)) for name in "abc"]
        turns = 0
        while not all(thread.done() for thread in threads):
            log.info("said", name="loop")
            turns += 1
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    said = Counter(json.loads(line)["name"][:1] for line in path.read_text().splitlines())
    assert said == dict.fromkeys("abc", 200) | {"l": turns}


class Interrupted(StringIO):
    """While it is written to, something is logged: as the garbage collector does, that may come at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def write(self, piece: str) -> int:
        if self.left:
            self.left -= 1
            logging.getLogger("asyncio").error("in between %s", self.left)
        return super().write(piece)


def test_what_is_logged_while_a_line_is_written_is_written_behind_it() -> None:
    file = Interrupted()
    log = configure_logging(format="text", level="info", file=file)
    log.warning("first")
    assert [line.split(" ", 1)[1] for line in file.getvalue().splitlines()] == [
        "warn  first",
        'error asyncio text="in between 2"',
        'error asyncio text="in between 1"',
        'error asyncio text="in between 0"',
    ]


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
        log.info("said", name=name * 20_000)  # more than a file buffers, so that writing gives way to other threads
