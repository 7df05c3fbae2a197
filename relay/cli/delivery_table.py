"""Deliveries -> a table: each on one line or, where one is wider than the terminal, with a second line below each."""

from collections.abc import Mapping, Sequence

from rich.text import Text

from relay.cli.errors_shown import error
from relay.cli.output import cell, clipped, is_wide, put, starts, state, table, width
from relay.cli.times import Times
from relay.model.event_names import as_line
from relay.operations.documents.deliveries import DeliveryDocument

GAP = 2
RIGHT = ("ATTEMPTS",)
FOLDS = ("EVENT", "TARGET")
IN_AMOCRM = "IN AMOCRM"

Row = Mapping[str, Text]
"""A cell for each column, in their order."""


def show(page: Sequence[DeliveryDocument], *, hide_state: bool) -> None:
    """Print them, with the names in their events if there are any.

    `hide_state`: all have the same, so that a second line need not show it.
    """
    ids = {} if is_wide() else starts([each.event for each in page])
    times = Times(each.received_at for each in page)
    rows = [_row(each, ids.get(each.event, each.event), times) for each in page]
    if any(each.names for each in page):
        rows = [{**row, IN_AMOCRM: cell(as_line(each.names))} for row, each in zip(rows, page, strict=True)]
    if _taken([*rows[0]], rows) <= width():
        made = table(*rows[0], right=RIGHT)
        for row in rows:
            made.add_row(*row.values())
        put(made)
    else:
        below = {"NOTE", IN_AMOCRM, *(["STATE"] if hide_state else [])}
        _put_narrow([name for name in rows[0] if name not in below], rows)


def _row(shown: DeliveryDocument, id_: str, times: Times) -> Row:
    return {
        "ID": cell(id_),
        times.heading("ARRIVED"): cell(times.cell(shown.received_at)),
        "EVENT": cell(_about(shown)),
        "TARGET": cell(shown.target),
        "STATE": state(shown.state),
        "ATTEMPTS": cell(shown.attempt),
        "NOTE": cell(_note(shown)),
    }


def _note(shown: DeliveryDocument) -> str:
    """What is next or why it is dead, and the last error, if that does not say it already."""
    following, failed = _what_is_next(shown), error(shown.last_attempt)
    return following if failed in following else "; ".join(filter(None, (following, failed)))


def _what_is_next(shown: DeliveryDocument) -> str:
    return f"{shown.why}, dismissed" if shown.dismissed_at else shown.why or shown.next_step


def _about(shown: DeliveryDocument) -> str:
    if shown.raw:
        return shown.type
    about = f"{clipped(shown.entity)}.{clipped(shown.action)} {clipped(shown.entity_id)}".rstrip()
    return f"{about} (healed)" if shown.healed else about


# ---- on a narrow terminal


def _put_narrow(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """NOTE and names go below; the number of attempts too if there is no room for it."""
    counted = _taken(columns, rows) <= width()
    if not counted:
        columns = columns[:-1]
    widths = _fitted(_natural(columns, rows), width() - GAP * len(columns))
    put(table(*columns, right=RIGHT, widths=widths))
    for row in rows:
        line = table(*columns, right=RIGHT, folds=FOLDS, headed=False, widths=widths)
        line.add_row(*(row[name] for name in columns))
        put(line)
        note = row["NOTE"].plain if counted else _attempts_and_note(row)
        for below in filter(None, (note, row[IN_AMOCRM].plain if IN_AMOCRM in row else "")):
            put(Text(below, "dim"), indent=4)


def _attempts_and_note(row: Row) -> str:
    """`2 attempts; 400 is in dead_on`."""
    attempts = "1 attempt" if row["ATTEMPTS"].plain == "1" else f"{row['ATTEMPTS'].plain} attempts"
    return "; ".join(filter(None, (attempts, row["NOTE"].plain)))


def _taken(columns: Sequence[str], rows: Sequence[Row]) -> int:
    """How many columns of a terminal a line takes."""
    return sum(_natural(columns, rows).values()) + GAP * len(columns)


def _natural(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, int]:
    return {name: max(len(name), *(row[name].cell_len for row in rows)) for name in columns}


def _fitted(widths: dict[str, int], room: int) -> dict[str, int]:
    """Narrow the widest column that folds, again and again, until all have room or none can be narrower."""
    foldable = [name for name in widths if name in FOLDS]
    while sum(widths.values()) > room and any(widths[name] > len(name) for name in foldable):
        widths[max(foldable, key=widths.__getitem__)] -= 1
    return widths
