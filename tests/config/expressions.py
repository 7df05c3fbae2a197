"""PromQL -> the series it selects and the labels it speaks of. By words alone: Prometheus itself checks the grammar."""

import re
from dataclasses import dataclass

WORDS = frozenset({"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"})

COMMENT = re.compile(r"#.*")
RANGE = re.compile(r"\[[^]]*\]|\boffset\s+\w+")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"(?<![\w$\"])([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\s*\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class Selector:
    """`up{job=~"a|b"}` -> up, {"job": ["a", "b"]}; a value that is a variable of the dashboard is left out."""

    metric: str
    values: dict[str, list[str]]


def selectors(expression: str) -> list[Selector]:
    """Every series named in it."""
    text = GROUPING.sub(" ", RANGE.sub(" ", COMMENT.sub(" ", expression)))
    found = [(name, _values(matchers or "")) for name, matchers in SELECTOR.findall(text)]
    return [Selector(name, values) for name, values in found if name not in WORDS]


def grouped(expression: str) -> set[str]:
    """The labels in its `by (…)`, `on (…)` and the like."""
    return {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",")}


def _values(matchers: str) -> dict[str, list[str]]:
    return {
        label: [each for each in value.split("|") if not each.startswith("$")]
        for label, value in MATCHER.findall(matchers)
    }
