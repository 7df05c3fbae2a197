"""The house as relay/__init__.py draws it: which way imports point, and who may know what."""

import ast
import re
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

import relay

ROOT = Path(__file__).resolve().parent.parent


def test_imports_point_one_way_and_the_pure_rooms_stay_pure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)  # it would switch everybody's loggers off
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out


# ---- who may know which library


WIRING = {"relay.daemon", "relay.cli"}
OWNERS = {
    "aiohttp": {
        "relay.http",
        "relay.ingest",
        "relay.admin",
        "relay.delivery.send",
        "relay.delivery.dispatcher",
        *WIRING,
    },
    "apsw": {"relay.store"},
    "click": {"relay.cli"},
    "jsonschema": {"relay.routes"},
    "logging": {"relay.observe"},
    "prometheus_client": {"relay.observe", "relay.admin", *WIRING},  # which make the registry
    "rich": {"relay.cli"},
    "tenacity": {"relay.delivery"},
    "uvloop": WIRING,
    "yaml": {"relay.routes"},
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("relay", include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_known_only_in_its_own_room(library: str, graph: grimp.ImportGraph) -> None:
    knows = graph.find_modules_that_directly_import(library) if library in graph.modules else set()
    strangers = {name for name in knows if not any(f"{name}.".startswith(f"{owner}.") for owner in OWNERS[library])}
    assert not strangers, f"{library} belongs to {OWNERS[library]}"


# ---- what operators ask and do is answered below the terminal

TERMINAL_OR_HTTP = {"click", "rich", "aiohttp", "http", "sys", "argparse", "getpass"}
OPENS_A_STORE = "store.py"
"""The one file of the command line that knows which store there is: it opens it, and hands it to an operation."""


def test_operations_know_neither_a_terminal_nor_http() -> None:
    for file in sorted((ROOT / "relay/operations").glob("*.py")):
        tree = ast.parse(file.read_text())
        assert not {name.partition(".")[0] for name in imported(tree)} & TERMINAL_OR_HTTP, file
        assert not {name for name in imported(tree) if name.startswith(("relay.cli", "relay.admin"))}, file
        calls = {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"print", "input", "exit", "echo"}, file


def test_commands_reach_the_store_through_operations() -> None:
    """They import its records, which are what operations return, and call none of its verbs."""
    for file in sorted((ROOT / "relay/cli").glob("*.py")):
        if file.name == OPENS_A_STORE:
            continue
        tree = ast.parse(file.read_text())
        names = {name for name in imported(tree) if name.startswith("relay.store")}
        verbs = {"relay.store.contract.Store", "relay.store.contract.Archive"}
        assert not {name for name in names if not name.startswith("relay.store.contract.")} | names & verbs, file
        asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_store(node.value)]
        assert not [node.attr for node in asked], file


def imported(tree: ast.AST) -> set[str]:
    """`from relay.errors import RelayError` -> `relay.errors.RelayError`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    return names


def is_store(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "store"


# ---- who may look at the clock


PURE = ["model.py", "errors.py", "signals.py", "printable.py", "amocrm/*.py", "routes/match.py"]
PURE += [
    "delivery/retry.py",
    "delivery/payload.py",
    "delivery/request.py",
    "delivery/breaker.py",
    "delivery/rate_limiter.py",
]
PURE += ["clock.py", "rfc3339.py"]
CLOCKS_AND_DISKS = {"now", "utcnow", "today", "open", "read_text", "read_bytes", "write_text", "write_bytes"}


@pytest.mark.parametrize("pattern", PURE)
def test_a_pure_room_asks_neither_clock_nor_disk(pattern: str) -> None:
    files = sorted((ROOT / "relay").glob(pattern))
    assert files, f"{pattern} has moved: say where here"
    for file in files:
        calls = {called(node) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
        assert not calls & CLOCKS_AND_DISKS, f"{file}: take it as an argument"


def called(call: ast.Call) -> str:
    """`datetime.now()` -> `now`, `open()` -> `open`."""
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


# ---- whether the map is true


def test_every_room_on_the_map_is_there(graph: grimp.ImportGraph) -> None:
    drawn = re.findall(r"^    ([a-z]+(?:\.[a-z]+)?)  |`([a-z.]+)`", relay.__doc__ or "", re.MULTILINE)
    rooms = {f"relay.{stage or room}" for stage, room in drawn}
    assert len(rooms) >= 8
    assert rooms <= graph.modules
