"""Templates are compiled beside the event loop: at the first page, and once in a process."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from jinja2 import Environment

from relay.admin.console import compiled
from relay.admin.console.compiled import InMemory
from tests.admin.console.conftest import FOLLOWED, Client, see

Connect = Callable[..., Any]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which a template was compiled, in a process that has compiled none."""
    found: list[threading.Thread] = []
    compile_ = Environment._compile

    def noted(self: Environment, source: str, filename: str) -> Any:
        found.append(threading.current_thread())
        return compile_(self, source, filename)

    monkeypatch.setattr(Environment, "_compile", noted)
    fresh = InMemory()
    monkeypatch.setattr("relay.admin.console.console.in_memory", lambda: fresh)
    return found


async def test_no_template_is_compiled_on_the_event_loop(
    build: Callable[..., web.Application], aiohttp_client: Connect, threads: list[threading.Thread]
) -> None:
    client: Client = await aiohttp_client(build(), headers=FOLLOWED)
    for page in ("/", "/deliveries", "/targets/warehouse", "/nowhere"):
        await client.get(page, headers={"Accept": "text/html"})
    assert len(threads) > 20
    assert threading.main_thread() not in threads


async def test_another_listener_of_the_process_compiles_nothing_anew(
    build: Callable[..., web.Application], aiohttp_client: Connect, threads: list[threading.Thread]
) -> None:
    await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    before = len(threads)
    await see(await aiohttp_client(build(), headers=FOLLOWED), "/")
    assert len(threads) == before


def test_a_process_has_one_memory() -> None:
    assert compiled.in_memory() is compiled.in_memory()
