"""A request as a target would get it -> a command line that sends the same; secrets in it are `***` already."""

import shlex
from collections.abc import Mapping
from typing import Any

MADE_BY_CURL = frozenset({"content-length", "host", "transfer-encoding"})


def curl(request: Mapping[str, Any]) -> str:
    """`curl --request POST https://… --header 'webhook-id: …' --data-binary '{…}'`, an argument a line."""
    parts = [f"curl --request {shlex.quote(request['method'])} {shlex.quote(request['url'])}"]
    parts += [
        f"--header {shlex.quote(f'{name}: {value}')}"
        for name, value in request["headers"].items()
        if name.lower() not in MADE_BY_CURL
    ]
    if request["body"]:
        # @ would name a file
        parts.append(f"--data-raw {shlex.quote(request['body'])}")
    return " \\\n  ".join(parts)
