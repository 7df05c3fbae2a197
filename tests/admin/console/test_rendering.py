"""A template -> text, in slices."""

import asyncio
from pathlib import Path
from time import perf_counter

import pytest
from jinja2 import Environment, nodes

from relay.admin.console import rendering
from relay.admin.console.rendering import SLICE, rendered

SLOW = 5


async def at_once() -> None:
    pass


def slow() -> str:
    """One slice."""
    ends_at = perf_counter() + SLICE
    while perf_counter() < ends_at:
        pass
    return "x"


async def test_others_have_turns_while_a_page_is_rendered() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    template = Environment(autoescape=True).from_string("{% for _ in range(number) %}{{ slow() }}{% endfor %}")
    beside = asyncio.create_task(other())
    assert await rendered(template, {"slow": slow, "number": SLOW}, at_once) == "x" * SLOW
    beside.cancel()
    assert turns >= SLOW


async def test_each_slice_gives_way_to_what_comes_first() -> None:
    slices = 0

    async def give_way() -> None:
        nonlocal slices
        slices += 1

    template = Environment(autoescape=True).from_string("{% for _ in range(number) %}{{ slow() }}{% endfor %}")
    await rendered(template, {"slow": slow, "number": SLOW}, give_way)
    assert slices >= SLOW


async def test_a_text_is_what_jinja2_makes_of_it() -> None:
    template = Environment(autoescape=True).from_string(
        "<p>{{ name }}</p>{% for each in rows %}<i>{{ each }}</i>{% endfor %}"
    )
    values = {"name": "<b>", "rows": range(3)}
    assert await rendered(template, values, at_once) == template.render(values)


OF_A_FEW_ROWS = {"history.html", "target.html"}
TEMPLATES = sorted(Path(rendering.__file__).parent.glob("templates/**/*.html"))


@pytest.mark.parametrize("file", [each for each in TEMPLATES if each.name not in OF_A_FEW_ROWS], ids=lambda f: f.name)
def test_rows_come_one_by_one_and_no_macro_makes_them_all(file: Path) -> None:
    """What a macro makes is one chunk: a slice that takes as long as all of it."""
    page = Environment(extensions=["jinja2.ext.i18n"]).parse(file.read_text("utf-8"))
    loops = [loop for macro in page.find_all(nodes.Macro) for loop in macro.find_all(nodes.For)]
    assert not [data for loop in loops for data in loop.find_all(nodes.TemplateData) if "<tr" in data.data]
