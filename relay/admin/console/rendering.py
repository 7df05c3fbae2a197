"""A template -> text, in slices: between them the event loop does what else is due, acknowledgements first of all."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from jinja2 import Template

SLICE, PAUSE = 0.000_5, 0.001
"""Seconds. A page of 50 rows takes ten slices.

In a pause the store's thread can finish a commit: each of its statements needs the interpreter's lock once, and would
wait for a slice each time.
"""


async def rendered(template: Template, values: Mapping[str, Any]) -> str:
    """The text of a template. What jinja2 raises of one that cannot be rendered comes out of here, too."""
    chunks: list[str] = []
    ends_at = perf_counter() + SLICE
    for chunk in template.generate(values):
        chunks.append(chunk)
        if perf_counter() >= ends_at:
            await asyncio.sleep(PAUSE)
            ends_at = perf_counter() + SLICE
    return "".join(chunks)
