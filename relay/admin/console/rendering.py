"""A template -> text, in slices: between them the event loop does what else is due, acknowledgements first of all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from jinja2 import Template

SLICE, PAUSE = 0.000_3, 0.001
"""Seconds. A page of 50 rows takes twenty slices or so. A webhook has several turns of the loop: none of them waits in
a pause.
"""


async def rendered(template: Template, values: Mapping[str, Any], give_way: Callable[[], Awaitable[None]]) -> str:
    """The text of a template. `give_way` waits, after each slice, for what comes first.

    What jinja2 raises of a template that cannot be rendered comes out of here, too.
    """
    chunks: list[str] = []
    ends_at = perf_counter() + SLICE
    for chunk in template.generate(values):
        chunks.append(chunk)
        if perf_counter() >= ends_at:
            await asyncio.sleep(PAUSE)
            await give_way()
            ends_at = perf_counter() + SLICE
    return "".join(chunks)
