"""Trees of Jinja2's nodes: how deep one is, and parts of an output -> the statements that yield them."""

from collections.abc import Sequence
from typing import TypeAlias

from jinja2 import nodes

MAX_DEPTH = 50

Part: TypeAlias = str | nodes.Expr | nodes.Stmt
"""A piece of the output: a text, or a node that yields one."""


def assembled(parts: Sequence[Part]) -> list[nodes.Node]:
    """Statements that yield the parts; texts that follow each other are yielded as one."""
    made: list[nodes.Node] = []
    texts: list[str] = []
    output: list[nodes.Expr] = []

    def end_text() -> None:
        if text := "".join(texts):
            output.append(nodes.TemplateData(text))
        texts.clear()

    def end_output() -> None:
        end_text()
        if output:
            made.append(nodes.Output([*output]))
        output.clear()

    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, nodes.Expr):
            end_text()
            output.append(part)
        else:
            end_output()
            made.append(part)
    end_output()
    return made


def too_deep(top: nodes.Node) -> nodes.Node | None:
    """A node that is nested too deeply: what translates and compiles a tree calls itself for each level."""
    waiting = [(top, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return node
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())
    return None
