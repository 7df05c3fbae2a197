"""A template -> text, in slices: between them the event loop does what else is due, acknowledgements first of all."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from jinja2 import Template

SLICE = 0.000_5
"""Seconds. A page of 50 rows takes ten of them; an acknowledgement has to wait for one at most."""


async def rendered(template: Template, values: Mapping[str, Any]) -> str:
    """The text of a template. What jinja2 raises of one that cannot be rendered comes out of here, too."""
    chunks: list[str] = []
    ends_at = perf_counter() + SLICE
    for chunk in template.generate(values):
        chunks.append(chunk)
        if perf_counter() >= ends_at:
            await asyncio.sleep(0)
            ends_at = perf_counter() + SLICE
    return "".join(chunks)
