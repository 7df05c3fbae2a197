"""Any bytes: a webhook's body, a routes file, a URL, a template, a response. See `fuzz` for what may not happen."""

import asyncio
import importlib.util
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.scale import SEED, scaled
from tests.http.test_small_posts import REQUESTS, TAKEN
from tests.routes.test_templates import LOOPS, SOURCES
from tests.routes.test_templates_refused import REFUSED
from tests.tools import without

ROOT = Path(__file__).parents[2]
SECONDS = {
    "body": scaled(60),
    "routes": scaled(60),
    "url": scaled(20),
    "retry_after": scaled(20),
    "response": scaled(20),
    "posts": scaled(40),
    "template": scaled(60),
}
PLANTED = 300  # seconds: it ends with the first find, a few of a machine without other work
START = 120  # seconds at most, of the instrumentation before and the summary behind
SEEDS = {
    "body": [b"\0" + file.read_bytes() for file in (ROOT / "tests/amocrm/bodies").glob("*.form")]
    + [b'\1{"leads": {"add": [{"id": 7, "tags": ["a", 1.5, null]}]}}'],
    "routes": [
        file.read_bytes() for file in (*(ROOT / "tests/routes/bad").glob("*.yaml"), ROOT / "config/routes.example.yaml")
    ],
    "url": [b"https://bot.example/amocrm?a=b", b"http://[::1]:8080/", "https://бот.рф/вход".encode()],
    "response": [
        size + head + body
        for size in (b"\0", b"\1", b"\x14")
        for head in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.0 503 No\r\nRetry-After: 7\r\n")
        for body in (
            b"content-length: 2\r\n\r\nok",
            b"transfer-encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nsum: 1\r\n\r\n",
            b"PHP Warning\ncontent-length: 3, 3\n\nok",
            b"connection: upgrade\r\n\r\nokHTTP/1.1 2",
        )
    ],
    "retry_after": [b"120", b"Tue, 24 Nov 2026 10:00:00 GMT", b"Tue, 24-Nov-26 10:00:00 +0300"],
}
SEEDS["posts"] = [
    bytes([30, 60]) + one + other for one in REQUESTS.values() for other in TAKEN.values() if len(one + other) < 2_000
]
TEMPLATES = [*SOURCES, *LOOPS.values(), *(source for source, _ in REFUSED.values()), "a\1{{ data.x | date('UTC') }}"]
SEEDS["template"] = [each.replace("data.x", "data.tags").encode() for each in TEMPLATES if len(each) < 1_000]
SEEDS["planted"] = SEEDS["body"]


async def fuzzed(target: str, folder: Path, seconds: int) -> tuple[int, int, str]:
    """Exit code, how many inputs it took, and what it said of the last one."""
    if not importlib.util.find_spec("atheris"):
        without("atheris has no wheel for this machine")
    for number, seed in enumerate(SEEDS[target]):
        (folder / f"seed-{number:03}").write_bytes(seed)
    flags = (f"-max_total_time={seconds}", f"-seed={SEED + 1}", "-max_len=4096", "-timeout=60", "-print_final_stats=1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.fuzz", target, *flags, f"-artifact_prefix={folder}/", folder),
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(seconds + START):
            said = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    inputs = re.search(r"number_of_executed_units: (\d+)", said)
    return process.returncode, int(inputs[1]) if inputs else 0, said[said.find("=== Uncaught") :][-3000:]


@pytest.mark.timeout(30 + START + max(SECONDS.values()))
@pytest.mark.parametrize("target", SECONDS)
async def test_no_input_raises_what_is_not_declared(target: str, tmp_path: Path, report: Report) -> None:
    code, inputs, said = await fuzzed(target, tmp_path, SECONDS[target])
    report("fuzz", f"{target}: {inputs} inputs in {SECONDS[target]} s, {'none' if code == 0 else 'one'} raised")
    assert code == 0, said
    assert inputs > len(SEEDS[target]), said


@pytest.mark.timeout(30 + START + PLANTED)
async def test_an_exception_that_was_planted_is_found(tmp_path: Path, report: Report) -> None:
    code, inputs, said = await fuzzed("planted", tmp_path, PLANTED)
    report("fuzz, sabotaged", f"planted: found after {inputs} inputs" if code else "planted: not found")
    assert code, "nothing was found"
    assert "IndexError: planted" in said
