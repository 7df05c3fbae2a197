"""A template -> text, in slices."""

import asyncio
from time import perf_counter

from jinja2 import Environment

from relay.admin.console.rendering import SLICE, rendered

SLOW = 5


async def test_others_have_turns_while_a_page_is_rendered() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slow() -> str:
        ends_at = perf_counter() + SLICE
        while perf_counter() < ends_at:
            pass
        return "x"

    template = Environment(autoescape=True).from_string("{% for _ in range(number) %}{{ slow() }}{% endfor %}")
    beside = asyncio.create_task(other())
    assert await rendered(template, {"slow": slow, "number": SLOW}) == "x" * SLOW
    beside.cancel()
    assert turns >= SLOW


async def test_a_text_is_what_jinja2_makes_of_it() -> None:
    template = Environment(autoescape=True).from_string(
        "<p>{{ name }}</p>{% for each in rows %}<i>{{ each }}</i>{% endfor %}"
    )
    values = {"name": "<b>", "rows": range(3)}
    assert await rendered(template, values) == template.render(values)
