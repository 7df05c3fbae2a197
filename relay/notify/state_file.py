"""What a process has told and was about to tell -> a file in the state folder, and back."""

import os
from pathlib import Path

import orjson

from relay.model import Json

FILE = "relay-notify.json"


def read(folder: Path) -> Json:
    """Return what was written last; None if that cannot be read, as at the first start."""
    try:
        return orjson.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def write(folder: Path, value: Json) -> None:
    """Replace the file; whole or not at all, also at a kill."""
    file = folder / FILE
    temporary = file.with_name(f"{FILE}.{os.getpid()}.tmp")
    temporary.write_bytes(orjson.dumps(value))
    temporary.replace(file)
