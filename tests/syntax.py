"""A file of Python -> its syntax tree."""

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """Its tree, parsed once for all tests.

    CPython 3.11 raises SystemError if a garbage collection inside of `ast.parse` runs finalizers, as those of tasks.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"), str(path))
    finally:
        if collects:
            gc.enable()
