"""The files of a daemon -> lines: which are loaded, and which newer ones are refused, and why."""

from collections.abc import Iterator
from datetime import datetime

from rich.table import Table

from relay.cli.output import labelled
from relay.cli.relay_table import called
from relay.cli.times import short
from relay.operations.documents.status import StatusDocument


def file_lines(status: StatusDocument) -> Iterator[Table]:
    """A line for each file that is loaded, then what was refused and why."""
    report = status.files
    if not isinstance(report, dict):
        return
    label = "loaded"
    for each in report["loaded"]:
        yield labelled(label, f"{each['file']}, {_version(each['written_at'])}, loaded {_local(each['loaded_at'])}")
        if each["warning"]:
            yield labelled("", f"{each['file']} {each['warning']}", "yellow")
        label = ""
    for each in report["refused"]:
        newer = ", ".join(f"{file['file']} {_version(file['written_at'])}" for file in each["files"])
        files = f": {newer}" if newer else ""
        yield labelled("not loaded", f"at {_local(each['at'])}{files}; the version above stays", "red")
        for problem in each["problems"]:
            yield labelled("", problem, "red")
    if len(status.living) > 1:
        yield labelled("", f"this is said by {called(status.files_by, status)}")


def _version(written_at: str | None) -> str:
    return "not there" if written_at is None else f"changed {_local(written_at)}"


def _local(at: str) -> str:
    return short(datetime.fromisoformat(at))
