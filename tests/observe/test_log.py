"""What other libraries log -> our lines, few and without secrets; and what befalls the file of a log."""

import json
import logging
import ssl
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from aiohttp.http_exceptions import BadStatusLine

from relay.http.faults import note_fault
from relay.model import Secret
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


def test_a_fault_of_the_relay_leaves_one_whatever_its_class(observed: Observed) -> None:
    id_ = note_fault("GET /metrics", ConnectionResetError("ours"))
    (line,) = lines(observed)
    assert (line["level"], line["text"], line["request"]) == ("error", "a fault of the relay: GET /metrics", id_)
    assert line["trace"].endswith("ConnectionResetError: ours\n")


def test_the_token_of_a_hook_path_is_masked(observed: Observed) -> None:
    fail("aiohttp.server", RuntimeError("<Request POST /hooks/crm/s3cret >"), text="/hooks/crm/s3cret from %s")
    (line,) = lines(observed)
    assert line["text"] == "/hooks/crm/*** from 192.0.2.7"
    assert "<Request POST /hooks/crm/*** >" in line["trace"]
    assert "s3cret" not in str(line)


@pytest.mark.parametrize(
    "path", ["//hooks//crm//s3cret", "/hooks/crm//s3cret/", "/hooks/crm/x/s3cret", "/x/hooks//crm/s3cret?a"]
)
def test_a_slash_too_many_leaves_the_token_masked(path: str, observed: Observed) -> None:
    fail("aiohttp.server", RuntimeError(f"<Request POST {path} >"), text=f"{path} from %s")
    (line,) = lines(observed)
    assert "s3cret" not in str(line)
    assert line["text"].endswith("*** from 192.0.2.7")


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
    twice = Observed("json", level="info")
    logging.getLogger("asyncio").error("once")
    assert len(twice.lines()) == 1
    assert observed.lines() == []
