"""JSON that is being written -> where in it the next value stands: `text`, `rows[1].name`. Pure."""

import re

# a string whose end is not written yet counts as one, too; possessive, or a long one would take much memory
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"(?P<key>:)?|\\?\Z)|[{}\[\],]', re.DOTALL)


def place_after(written: str) -> str:
    """The path of what comes after this beginning of compact JSON; empty at its top."""
    path: list[str | int] = []
    for token in _TOKEN.finditer(written):
        match token[0][0]:
            case "{":
                path.append("")
            case "[":
                path.append(0)
            case "}" | "]":
                path.pop()
            case "," if isinstance(path[-1], int):
                path[-1] += 1
            case '"' if token["key"]:
                path[-1] = token[0][1:-2]
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")
