"""Values -> lines and tables on standard output; no text from outside can steer the terminal."""

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import click
import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from relay.model import Json, State, VerdictName
from relay.operations.documents.encoding import encode
from relay.printable import printable

WIDE = 120
"""From this many columns on lists show whole ids and whole times."""

UNWRAPPED = 2000
"""Columns where standard output is not a terminal: programs expect a row on one line."""

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
    """True for a file or a pipe, and for a terminal of `WIDE` columns or more."""
    return width() >= WIDE


def reader_gone() -> bool:
    """True once the reader of standard output has closed it: endless commands end then."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return getattr(raw, "gone", False)


def put(*shown: RenderableType, indent: int = 0) -> None:
    """Print each on lines of its own: in colour on a terminal, plain and unwrapped to a file or a pipe."""
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
    """Indented JSON, safe to show on a terminal."""
    return printable(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), keep="\n")


def json_line(value: Json) -> str:
    """The same in one line."""
    return printable(orjson.dumps(value).decode())


def print_json(value: Json) -> None:
    """One JSON document on standard output."""
    click.echo(json_text(value))


def print_document(document: object) -> None:
    """Print the document of an operation as `print_json` prints JSON."""
    click.echo(printable(encode(document, indented=True).decode(), keep="\n"))


def document_line(document: object) -> str:
    """The same in one line."""
    return printable(encode(document).decode())


def note(text: str) -> None:
    """Print a line for people on standard error, beside the output that programs read."""
    click.echo(printable(text), err=True)


def table(
    *columns: str,
    right: Sequence[str] = (),
    folds: Sequence[str] = (),
    headed: bool = True,
    widths: Mapping[str, int] = MappingProxyType({}),
) -> Table:
    """Columns under their headings: those in `right` are numbers, those in `folds` wrap on a narrow terminal."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=headed)
    for name in columns:
        justify: Literal["right", "left"] = "right" if name in right else "left"
        made.add_column(name, justify=justify, no_wrap=name not in folds, overflow="fold", width=widths.get(name))
    return made


def fits(shown: Table) -> bool:
    """Whether each row fits on one line."""
    return Console(width=UNWRAPPED).measure(shown).maximum <= width()


def labelled(label: str, text: str, style: str = "") -> Table:
    """`daemon        running`: a long `text` wraps below itself."""
    made = table("LABEL", "TEXT", folds=("TEXT",), headed=False, widths={"LABEL": 12})
    made.add_row(cell(label, style), cell(text, style))
    return made


def cell(text: object, style: str = "") -> Text:
    """One line of text: line ends are escaped too."""
    return Text(printable(str(text)), style)


def clipped(text: str, size: int = 48) -> str:
    """`text`, at most so long: one long value must not push the other columns off the screen."""
    return text if len(text) <= size else text[: size - 1] + "…"


def counted(number: int, word: str, several: str = "") -> str:
    """`1 event`, `3 events`; `several` where that is not the word with an s."""
    return f"{number} {word}" if number == 1 else f"{number} {several or f'{word}s'}"


ROWS = {
    "deliveries": ("delivery", "deliveries"),
    "audit": ("audit entry", "audit entries"),
    "losses": ("loss", "losses"),
    "heal_events": ("event of amoCRM's history", "events of amoCRM's history"),
    "hook_index": ("hook", "hooks"),
    "refusals": ("minute with refusals", "minutes with refusals"),
    "switched_off": ("span switched off", "spans switched off"),
    "account_records": ("account", "accounts"),
}


def counted_rows(number: int, table_: str) -> str:
    """`1 pause`, `3 deliveries`: rows of a table."""
    words = table_.replace("_", " ")
    return counted(number, *ROWS.get(table_, (words.removesuffix("s"), words)))


def block(text: str) -> Text:
    """Several lines."""
    return Text(printable(text, keep="\n"))


def state(word: str) -> Text:
    """A state or a verdict in its colour."""
    return cell(word, STYLES.get(word, ""))


# ---- ids

SHORTEST = 18
"""A UUIDv7's first 18 characters are its millisecond and twelve bits more."""


def starts(ids: Sequence[str]) -> dict[str, str]:
    """For each id the start that is unique among them, `SHORTEST` characters or more."""
    ordered = sorted(set(ids))
    needed = dict.fromkeys(ordered, SHORTEST)
    for one, next_ in pairwise(ordered):
        alike = next((i for i, (a, b) in enumerate(zip(one, next_, strict=False)) if a != b), min(len(one), len(next_)))
        for id_ in (one, next_):
            needed[id_] = max(needed[id_], alike + 1)
    return {id_: id_[:size] for id_, size in needed.items()}
