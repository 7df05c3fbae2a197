"""The tests themselves: none may go on passing once what it reaches for is gone, and none may expect nothing.

mypy, which runs over the tests too, finds what a typed value does not have. These find the rest.
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.syntax import parsed

ROOT = Path(__file__).resolve().parent.parent
TESTS = sorted((ROOT / "tests").rglob("*.py"))
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

OTHERS = {"_conns", "_exit", "_getframe", "_replace"}
"""Private names of aiohttp's and of Python's that tests may read; where they are gone reading them raises."""
CHECKS = {"raises", "fail", "validate", "check_schema", "check_aiohttp", "run_state_machine_as_test"}
"""Calls that fail a test by themselves, and those of ours whose names begin with `demand_`."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


# ---- private names


def reaches_into_another(target: ast.expr) -> bool:
    """`store._writer.x`, `x._y`: a name that is not ours is on the way; `self._x.y` is ours."""
    while isinstance(target, (ast.Attribute, ast.Subscript, ast.Starred)):
        own = isinstance(target.value, ast.Name) and target.value.id in ("self", "cls")
        if isinstance(target, ast.Attribute) and is_private(target.attr) and not own:
            return True
        target = target.value
    return False


def assigned(node: ast.AST) -> Sequence[ast.expr]:
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            return [each for target in targets for each in ast.walk(target) if isinstance(each, ast.expr)]
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
            return [target]
        case ast.withitem(optional_vars=ast.expr() as target) | ast.NamedExpr(target=target):
            return [target]
    return []


def sets_by_name(node: ast.AST) -> bool:
    """`setattr(x, "_y", z)`, also of `object`; that of monkeypatch, which raises, has another owner."""
    match node:
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return is_private(name)
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="object"), attr="__setattr__" | "__delattr__"),
            args=[_, ast.Constant(value=str(name)), *_],
        ):
            return is_private(name)
        case ast.Call(func=ast.Attribute(attr="setattr"), keywords=[ast.keyword(arg="raising"), *_]):
            return True
    return False


def assignments(tree: ast.AST) -> list[int]:
    """Lines that set or delete a private name of something else, whether or not it has it."""
    return sorted(
        {
            node.lineno if isinstance(node, (ast.stmt, ast.expr, ast.keyword)) else 0
            for node in ast.walk(tree)
            if any(map(reaches_into_another, assigned(node))) or sets_by_name(node)
        }
    )


def test_private_names_are_set_by_monkeypatch_alone_which_raises_where_they_are_gone() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in TESTS for line in assignments(parsed(path))]
    assert found == [], "monkeypatch.setattr(owner, '_name', value), or patch.object in a process of its own"


@pytest.mark.parametrize(
    "line",
    [
        "store._writer._wal_pages = 1",
        "store._writer.pages = 1",
        "store._pages += 1",
        "store._pages: int = 1",
        "store._pages[0] = 1",
        "a, (b, store._pages) = 1, (2, 3)",
        "self.store._pages = 1",
        "Lane._most = None",
        "del store._pages",
        "for store._page in (): pass",
        "setattr(store, '_pages', 1)",
        "object.__setattr__(store, '_pages', 1)",
        "monkeypatch.setattr(store, '_pages', 1, raising=False)",
    ],
)
def test_a_private_name_of_another_that_is_set_is_found(line: str) -> None:
    assert assignments(ast.parse(line)) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "self._pages = 1",
        "self._loop.passed += 1",
        "store.pages = 1",
        "_pages = 1",
        "pages = store._pages",
        "monkeypatch.setattr(store, '_pages', 1)",
        "setattr(store, 'pages', 1)",
    ],
)
def test_what_sets_no_private_name_of_another_is_left_alone(line: str) -> None:
    assert assignments(ast.parse(line)) == []


def defined(paths: Sequence[Path]) -> set[str]:
    """Private names that these files define: functions, variables, attributes, parameters, fields."""
    names: set[str] = set()
    for node in (node for path in paths for node in ast.walk(parsed(path))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.add(name)
    return set(filter(is_private, names))


def held() -> set[str]:
    """Private attributes of the tests' own objects."""
    nodes = (node for path in TESTS for node in ast.walk(parsed(path)))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Private names that a test reads off something, or hands to monkeypatch or patch.object."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()) if is_private(name):
                yield node.lineno, name
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr" | "object"), args=[_, ast.Constant(value=str(name)), *_]
            ) if is_private(name):
                yield node.lineno, name


def test_every_private_name_that_a_test_reads_is_still_there() -> None:
    there = defined(sorted((ROOT / "relay").rglob("*.py"))) | held() | OTHERS
    lost = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in TESTS
        for line, name in named(parsed(path))
        if name not in there and name not in defined([path])
    ]
    assert lost == []


# ---- tests that expect nothing


def functions() -> dict[str, list[Function]]:
    """By name, those of all tests and of what they share."""
    found: defaultdict[str, list[Function]] = defaultdict(list)
    for node in (node for path in TESTS for node in ast.walk(parsed(path))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name].append(node)
    return found


def expects(function: Function, known: dict[str, list[Function]], seen: frozenset[str] = frozenset()) -> bool:
    """Whether it asserts something, or whatever it calls of the tests' own does."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    called = {name for node in ast.walk(function) if isinstance(node, ast.Call) and (name := callee(node))}
    if called & CHECKS or any(name.startswith("demand_") for name in called):
        return True
    return any(expects(each, known, seen | called) for name in called - seen for each in known.get(name, ()))


def callee(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def test_every_test_expects_something() -> None:
    known = functions()
    idle = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in TESTS
        if path.name.startswith("test_")
        for node in parsed(path).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        if not expects(node, known)
    ]
    assert idle == [], "say what would be otherwise if the code were wrong"


# ---- types


def test_mypy_looks_at_the_tests_for_names_that_are_gone() -> None:
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    [ours] = [each for each in mypy["overrides"] if each["module"] == "tests.*"]
    assert "tests" in mypy["packages"]
    assert ours["check_untyped_defs"]
    assert not {"attr-defined", "name-defined", "call-arg", "func-returns-value"} & set(ours["disable_error_code"])


# ---- who runs them


def test_what_make_test_leaves_out_is_there_for_make_system_and_make_chaos() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    paths = [
        path for name in ("SYSTEM", "CHAOS") for path in re.findall(rf"^{name} := (.+)", makefile, re.M)[0].split()
    ]
    assert "tests/e2e" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == [], "it has moved: say where in the Makefile"
