"""What the running daemon says of the files it has loaded and refused -> JSON for programs, lines for people."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from relay.cli.output import labelled
from relay.cli.times import short
from relay.model import Json
from relay.store.contract import Status

REPORT = "files"


def document(status: Status) -> Json:
    """`loaded` and `refused`, as `relay.reloader` reports them; None if no daemon runs, or it has not said yet."""
    report = status.reports.get(REPORT)
    return report.value if report and status.owner is not None else None


def lines(status: Status) -> Iterator[Table]:
    """A line for each file in force, then what was refused and why."""
    said = document(status)
    if not isinstance(said, dict):
        return
    label = "loaded"
    for each in said["loaded"]:
        yield labelled(label, f"{each['file']}, {_version(each['written_at'])}, since {_short(each['loaded_at'])}")
        if each["warning"]:
            yield labelled("", f"{each['file']} {each['warning']}", "yellow")
        label = ""
    for each in said["refused"]:
        newer = ", ".join(f"{file['file']} {_version(file['written_at'])}" for file in each["files"])
        yield labelled("refused", f"at {_short(each['at'])}{f': {newer}' if newer else ''}", "red")
        for problem in each["problems"]:
            yield labelled("", problem, "red")


def _version(written_at: str | None) -> str:
    return "not there" if written_at is None else f"of {_short(written_at)}"


def _short(at: str) -> str:
    return short(datetime.fromisoformat(at))
