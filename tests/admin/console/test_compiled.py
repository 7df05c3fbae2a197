"""Templates are compiled beside the process: at the first page, and once for all its listeners."""

import asyncio
import importlib.util
import marshal
import pickle
import re
import threading
from asyncio.subprocess import Process
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from aiohttp import web
from jinja2 import Environment
from jinja2.bccache import bc_magic

from relay.admin.console import compiled, sentences
from relay.admin.console.compiled import Compiled, InMemory, load
from relay.admin.console.environment import set_up
from relay.admin.console.static import Static
from tests.admin.console.conftest import FOLLOWED, Client, see
from tests.e2e.processes import until

Connect = Callable[..., Any]


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """That of a process which has compiled nothing yet."""
    fresh = InMemory()
    monkeypatch.setattr("relay.admin.console.console.in_memory", lambda: fresh)
    return fresh


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads of this process in which a template was compiled."""
    found: list[threading.Thread] = []
    compile_ = Environment._compile

    def noted(self: Environment, source: str, filename: str) -> Any:
        found.append(threading.current_thread())
        return compile_(self, source, filename)

    monkeypatch.setattr(Environment, "_compile", noted)
    return found


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Those that were started."""
    found: list[Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*command: str, **how: Any) -> Process:
        found.append(await start(*command, **how))
        return found[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return found


async def test_no_template_is_compiled_in_the_process_that_acknowledges(
    build: Callable[..., web.Application], aiohttp_client: Connect, threads: list[threading.Thread]
) -> None:
    client: Client = await aiohttp_client(build(), headers=FOLLOWED)
    for page in ("/", "/deliveries", "/targets/warehouse", "/nowhere"):
        await client.get(page, headers={"Accept": "text/html"})
    assert threads == []


async def test_another_listener_of_the_process_compiles_nothing_anew(
    build: Callable[..., web.Application],
    aiohttp_client: Connect,
    processes: list[Process],
    threads: list[threading.Thread],
) -> None:
    for _listener in range(2):
        await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    assert [each.returncode for each in processes] == [0]
    assert threads == []


async def test_the_patterns_of_sentences_are_compiled_before_the_first_page(
    build: Callable[..., web.Application], aiohttp_client: Connect, russian: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec(sentences.__name__)
    assert spec and spec.loader
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setattr(compiled, "compile_patterns", fresh.compile_patterns)
    await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    later: list[str] = []
    monkeypatch.setattr(re, "compile", lambda pattern, *_flags: later.append(pattern))
    assert fresh.said("x") == fresh.said_of_file("x") == "x"
    assert later == []


async def test_where_no_process_can_be_started_a_thread_compiles(
    build: Callable[..., web.Application],
    aiohttp_client: Connect,
    threads: list[threading.Thread],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    assert len(threads) > 20
    assert threading.main_thread() not in threads


def codes(memory: InMemory) -> dict[str, CodeType]:
    """What is compiled, by key; of equal codes the bytes may differ."""
    found = {}
    for key, stored in memory.compiled.items():
        file = BytesIO(stored.removeprefix(bc_magic))
        pickle.load(file)  # the checksum of the source
        found[key] = marshal.load(file)
    return found


@pytest.mark.parametrize("printed", ["", "a warning", "N", "\\xe3"])
async def test_where_the_process_prints_something_else_a_thread_compiles(
    build: Callable[..., web.Application],
    aiohttp_client: Connect,
    threads: list[threading.Thread],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    printed: str,
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    assert len(threads) > 20


async def test_the_code_is_that_which_this_process_would_have_compiled(memory: InMemory) -> None:
    beside = Compiled(set_up(web.Application(), Static(), memory), memory)
    await beside.ready()
    here = InMemory()
    load(set_up(web.Application(), Static(), here))
    assert codes(memory) == codes(here)


async def test_a_stop_ends_the_process(memory: InMemory, processes: list[Process]) -> None:
    compiling = Compiled(set_up(web.Application(), Static(), memory), memory)
    page = asyncio.create_task(compiling.ready())
    await until(lambda: bool(processes))
    await compiling.close()
    assert [each.returncode for each in processes] == [-9]
    assert (await asyncio.gather(page, return_exceptions=True))[0].__class__ is asyncio.CancelledError


def test_a_process_has_one_memory() -> None:
    assert compiled.in_memory() is compiled.in_memory()
