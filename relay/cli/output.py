"""Values -> what a terminal shows: columns, colours, times; and nothing of a payload's that could steer it."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import click
import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from relay.model import Json, State, VerdictName
from relay.printable import printable

WIDE = 120
"""From this many columns on lists show whole ids and whole times."""

UNWRAPPED = 2000
"""Columns of a console that is no terminal: programs want a line to be a line."""

STYLES: Mapping[str, str] = {
    State.PENDING: "yellow",
    VerdictName.DELIVERED: "green",
    VerdictName.RETRY: "yellow",
    VerdictName.DEAD: "red",
}


def width() -> int:
    """The terminal's columns, or `UNWRAPPED`."""
    return Console().width if sys.stdout.isatty() else UNWRAPPED


def is_wide() -> bool:
    """True into a file or a pipe, and on a terminal with room."""
    return width() >= WIDE


def reader_gone() -> bool:
    """Whether nobody reads standard output any more: then a command that would go on for ever ends."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return getattr(raw, "gone", False)


def put(*shown: RenderableType, indent: int = 0) -> None:
    """Print each on lines of its own: in colour on a terminal, plain and unwrapped into a file or a pipe."""
    console = Console(
        highlight=False,
        markup=False,
        emoji=False,
        width=width() - indent,
        color_system="auto" if sys.stdout.isatty() else None,
    )
    with console.capture() as captured:
        for each in shown:
            console.print(each)
    for line in captured.get().splitlines():
        click.echo((" " * indent + line).rstrip())


def json_text(value: Json) -> str:
    """Indented JSON that means the same and is safe to show."""
    return printable(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), keep="\n")


def json_line(value: Json) -> str:
    """The same in one line."""
    return printable(orjson.dumps(value).decode())


def print_json(value: Json) -> None:
    """One JSON document on standard output."""
    click.echo(json_text(value))


def note(text: str) -> None:
    """A line for people, beside the output that programs read."""
    click.echo(printable(text), err=True)


def table(
    *columns: str,
    right: Sequence[str] = (),
    folds: Sequence[str] = (),
    headed: bool = True,
    widths: Mapping[str, int] = MappingProxyType({}),
) -> Table:
    """Columns under their headings: those in `right` are numbers, those in `folds` give way where it is narrow."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=headed)
    for name in columns:
        justify: Literal["right", "left"] = "right" if name in right else "left"
        made.add_column(name, justify=justify, no_wrap=name not in folds, overflow="fold", width=widths.get(name))
    return made


def fits(shown: Table) -> bool:
    """Whether each of its rows has room on one line."""
    return Console(width=UNWRAPPED).measure(shown).maximum <= width()


def labelled(label: str, text: str, style: str = "") -> Table:
    """`daemon        running`: what does not fit on the line goes on below `text`."""
    made = table("LABEL", "TEXT", folds=("TEXT",), headed=False, widths={"LABEL": 12})
    made.add_row(cell(label, style), cell(text, style))
    return made


def cell(text: object, style: str = "") -> Text:
    """What fits a table or one line: a line end is escaped too."""
    return Text(printable(str(text)), style)


def clipped(text: str, size: int = 48) -> str:
    """`text`, at most so long: one odd value must not push everybody's columns away."""
    return text if len(text) <= size else text[: size - 1] + "…"


def block(text: str) -> Text:
    """Several lines."""
    return Text(printable(text, keep="\n"))


def state(word: str) -> Text:
    """A state or a verdict in its colour."""
    return cell(word, STYLES.get(word, ""))


# ---- times


def rfc3339(at: datetime) -> str:
    """`2026-11-22T10:53:00.123Z`, as events have it: for programs, people read `times`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def length(span: timedelta) -> str:
    """`12 ms`, `1.5 s`, `3 min`, `2 h`, `5 d`: one unit, rounded down."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{int(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size, until in (("min", 60, 60), ("h", 3600, 48)):
        if seconds < size * until:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} d"


# ---- ids

SHORTEST = 18
"""A UUIDv7's first 18 characters are its millisecond and twelve bits more."""


def starts(ids: Sequence[str]) -> dict[str, str]:
    """For each id the start that tells it from the others, `SHORTEST` characters or more."""
    ordered = sorted(set(ids))
    needed = dict.fromkeys(ordered, SHORTEST)
    for one, next_ in pairwise(ordered):
        alike = next((i for i, (a, b) in enumerate(zip(one, next_, strict=False)) if a != b), min(len(one), len(next_)))
        for id_ in (one, next_):
            needed[id_] = max(needed[id_], alike + 1)
    return {id_: id_[:size] for id_, size in needed.items()}
