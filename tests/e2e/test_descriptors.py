"""How many files the machine lets a relay open: what it makes of that, and what it does when there are none left."""

import asyncio
import resource
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.processes import RELAY, RelayProcess, run, running, until
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, well

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets: {{well: {{url: "{well}", concurrency: {concurrency}}}}}
routes: [{{name: all, match: {{entity: leads}}, to: well}}]
"""
LIMITED = """\
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execv(sys.argv[3], sys.argv[3:])
"""


def limited(soft: int, hard: int) -> tuple[str, ...]:
    """A relay that is started with these limits of open files."""
    return (sys.executable, "-ISc", LIMITED, str(soft), str(hard), *RELAY)


def routes(well: str = "http://127.0.0.1:9/", concurrency: int = 8) -> str:
    return ROUTES.format(well=well, concurrency=concurrency)


async def test_a_relay_may_open_as_many_files_as_the_machine_lets_it(tmp_path: Path) -> None:
    async with running(tmp_path, routes(), command=limited(256, 2000)) as relay:
        assert relay.process
        assert psutil.Process(relay.process.pid).rlimit(resource.RLIMIT_NOFILE) == (2000, 2000)


async def test_with_too_few_it_does_not_start_and_says_so_in_one_line(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, routes(), command=limited(256, 1023))
    code, printed, complaint = await run(*relay.arguments)
    assert (code, printed) == (1, "")
    assert len(complaint.splitlines()) == 1
    assert "only 1023 files may be open at once, the relay needs 1024" in complaint


@pytest.mark.parametrize(("concurrency", "warned"), [(412, False), (413, True)])
async def test_targets_that_could_need_more_descriptors_than_are_left_are_reported(
    concurrency: int, warned: bool, tmp_path: Path
) -> None:
    async with running(tmp_path, routes(concurrency=concurrency), command=limited(1024, 1024)) as relay:
        await relay.said("ready")
        warnings = relay.lines("too many connections to targets")
        assert bool(warnings) is warned
        assert not warned or "413 connections, but only 412 files" in warnings[0]["detail"]


async def test_when_none_is_left_it_says_so_in_a_few_lines_and_goes_on_once_there_are_some(tmp_path: Path) -> None:
    async with (
        listening(well=well) as targets,
        running(tmp_path, routes(targets.url("well")), command=limited(1024, 1024)) as relay,
    ):
        await post_lead(relay.hook, "before")
        await until(lambda: targets.accepted("well") == ["before"])  # it needs a descriptor, too
        assert relay.process
        process = psutil.Process(relay.process.pid)
        process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() + 2, 1024))
        connections = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(20)]
        await asyncio.sleep(2)
        assert 1 <= len(relay.lines("cannot accept connections")) <= 5
        process.rlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        await post_lead(relay.hook, "after")
        for _, writer in connections:
            writer.close()
        await until(lambda: targets.accepted("well") == ["before", "after"])
        assert relay.log.stat().st_size < 10_000
