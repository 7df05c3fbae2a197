"""The house as relay/__init__.py draws it: which way imports point, and who may know what."""

import ast
import re
from pathlib import Path
from typing import TypeGuard

import aiohttp
import grimp
import pytest
from importlinter.cli import lint_imports

import relay
from tests.syntax import parsed

ROOT = Path(__file__).resolve().parent.parent


def test_imports_point_one_way_and_the_pure_rooms_stay_pure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)  # it would switch everybody's loggers off
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out


# ---- who may know which library


WIRING = {*(f"relay.daemon.{name}" for name in ("process", "wiring", "private_listener", "scrape")), "relay.cli"}
OWNERS = {
    "aiohttp": {
        "relay.http",
        "relay.ingest",
        "relay.account.session",
        "relay.admin",
        "relay.delivery.send",
        "relay.delivery.dispatcher",
        *WIRING,
    },
    "aiohttp_jinja2": {"relay.admin.console"},
    "aiosmtplib": {"relay.notify.receivers.mail"},
    "apsw": {"relay.store"},
    "click": {"relay.cli"},
    "itsdangerous": {"relay.admin.console"},
    "jinja2": {"relay.admin.console", "relay.routes.template"},
    "jsonschema": {"relay.routes"},
    "logging": {"relay.observe"},
    "msgspec": {"relay.operations", "relay.admin.api", "relay.cli.remote"},
    "opentelemetry": {"relay.observe"},
    "prometheus_client": {"relay.observe", "relay.admin", *WIRING},  # which make the registry and hand it on
    "psycopg": {"relay.store.postgres"},
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
    for file in sorted((ROOT / "relay/operations").rglob("*.py")):
        tree = parsed(file)
        assert not {name.partition(".")[0] for name in imported(tree)} & TERMINAL_OR_HTTP, file
        assert not {name for name in imported(tree) if name.startswith(("relay.cli", "relay.admin"))}, file
        calls = {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"print", "input", "exit", "echo"}, file


def test_commands_reach_the_store_through_operations() -> None:
    """They import its records, which are what operations return, and call none of its verbs."""
    for file in sorted((ROOT / "relay/cli").glob("*.py")):
        if file.name == OPENS_A_STORE:
            continue
        tree = parsed(file)
        names = {name for name in imported(tree) if name.startswith("relay.store")}
        names -= {"relay.store.open.StoreUrl", "relay.store.open.SqliteUrl"}  # values, too
        assert not {name for name in names if not name.startswith("relay.store.records.")}, file
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


# ---- who may touch what aiohttp promises to nobody


PRIVATE_PARTS = ("fast_client", "fast_connection", "fast_connector", "fast_protocol", "small_posts", "tolerant_parser")
MAY_TOUCH_PRIVATE = {f"http/{name}.py" for name in PRIVATE_PARTS}
ON_PUBLIC_API = {
    f"http/{name}.py"
    for name in (
        "acceptor", "client", "listener", "plain_client", "plain_idle", "plain_protocol", "plain_proxy", "post",
        "public_only", "tunnel",
    )
}  # fmt: skip


def private_names_of_aiohttp() -> frozenset[str]:
    """Every `_name` that it defines: of modules, classes and objects."""
    names: set[str] = set()
    for file in Path(aiohttp.__file__).parent.glob("*.py"):
        for node in ast.walk(parsed(file)):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                    names.add(name)
    return frozenset(name for name in names if is_private(name))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


@pytest.fixture(scope="module")
def private() -> frozenset[str]:
    return private_names_of_aiohttp()


def touched(source: str, private: frozenset[str]) -> set[str]:
    """The private names of aiohttp that a module imports, reads, writes, or reaches by inheritance."""
    tree = ast.parse(source)
    ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    ours |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_own(node, ast.Store)}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "aiohttp":
                found |= {part for each in names for part in (*module.split("."), each.name) if is_private(part)}
            case ast.Import(names=names):
                found |= {each.name for each in names if re.match(r"aiohttp\..*\b_", each.name)}
            case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                found |= {name} & private
            case ast.Attribute(attr=name) if (
                name in private and not is_own(node, ast.expr_context) and name not in ours
            ):
                found.add(name)
            case ast.ClassDef(bases=bases) if any(root(base) in imported_from_aiohttp(tree) for base in bases):
                set_here = {each.attr for each in ast.walk(node) if is_own(each, ast.Store)}
                reached = {each.attr for each in ast.walk(node) if is_own(each, ast.Load)} - set_here
                found |= reached & private
    return found


def is_own(node: ast.AST, context: type[ast.expr_context]) -> TypeGuard[ast.Attribute]:
    """`self._name`, read or written."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), ctx=how):
            return isinstance(how, context)
    return False


def root(base: ast.expr) -> str:
    while isinstance(base, ast.Attribute):
        base = base.value
    return base.id if isinstance(base, ast.Name) else ""


def imported_from_aiohttp(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases) if module.split(".")[0] == "aiohttp":
                names |= {each.asname or each.name for each in aliases}
            case ast.Import(names=aliases):
                names |= {each.asname or "aiohttp" for each in aliases if each.name.split(".")[0] == "aiohttp"}
    return names


@pytest.mark.parametrize(
    "source",
    [
        "from aiohttp.http_writer import _serialize_headers",
        "import aiohttp._http_parser",
        "from aiohttp import _websocket",
        "def end(response): response._connection.close()",
        "def queued(request): return request.protocol._messages",
        "def end(response): getattr(response, '_connection').close()",
        "import aiohttp\nclass Late(aiohttp.ClientResponse):\n    def end(self): self._cleanup_writer()",
        "from aiohttp import web\nclass Idle(web.RequestHandler):\n    def idle(self): return self._waiter",
    ],
)
def test_a_private_name_of_aiohttp_is_found(source: str, private: frozenset[str]) -> None:
    assert touched(source, private)


@pytest.mark.parametrize(
    "source",
    [
        "class Ours:\n    def __init__(self): self._connection = None\n    def end(self): return self._connection",
        "import aiohttp\nclass Late(aiohttp.ClientResponse):\n    def start(self): self._since = 1; return self._since",
        "from aiohttp import web\ndef end(response): response.connection.close()",
    ],
)
def test_a_private_name_of_ours_is_none_of_aiohttp(source: str, private: frozenset[str]) -> None:
    assert not touched(source, private)


def test_only_the_fast_halves_touch_private_names_of_aiohttp(private: frozenset[str]) -> None:
    files = {file.relative_to(ROOT / "relay").as_posix(): file for file in (ROOT / "relay").rglob("*.py")}
    found = {name: touched(file.read_text(), private) for name, file in files.items()}
    assert {name for name, names in found.items() if names} == MAY_TOUCH_PRIVATE
    assert set(files) >= ON_PUBLIC_API, "they have moved: say where here"


FACTS_OF_CONNECTIONS = {"AcceptFailed", "Evicted"}


def test_http_knows_only_the_facts_of_its_connections() -> None:
    """relay.http knows no webhook; pyproject forbids it the modules, and relay.signals has both."""
    for file in (ROOT / "relay" / "http").glob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ImportFrom) and node.module == "relay.signals":
                assert {each.name for each in node.names} <= FACTS_OF_CONNECTIONS, file


# ---- who may look at the clock


PURE = ["model/*.py", "errors.py", "signals/*.py", "printable.py", "amocrm/*.py", "routes/match.py"]
PURE += [
    "delivery/retry.py",
    "delivery/payload.py",
    "delivery/request.py",
    "delivery/breaker.py",
    "delivery/rate_limiter.py",
]
PURE += [f"account/heal/{name}.py" for name in ("channels", "keys", "limits", "hooks", "expected", "matching")]
PURE += [f"account/{name}.py" for name in ("answers", "grants", "pace", "server_clock")]
PURE += ["clock.py", "rfc3339.py"]
CLOCKS_AND_DISKS = {"now", "utcnow", "today", "open", "read_text", "read_bytes", "write_text", "write_bytes"}


@pytest.mark.parametrize("pattern", PURE)
def test_a_pure_room_asks_neither_clock_nor_disk(pattern: str) -> None:
    files = sorted((ROOT / "relay").glob(pattern))
    assert files, f"{pattern} has moved: say where here"
    for file in files:
        calls = {called(node) for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)}
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


def test_only_the_store_room_knows_which_kinds_of_store_there_are(graph: grimp.ImportGraph) -> None:
    kinds = [name for name in graph.modules if name.startswith("relay.store.sqlite")]
    # a spool is a SQLite file, and upkeep moves a store from one kind to the other
    inside = ("relay.store.sqlite", "relay.store.open", "relay.store.spool", "relay.store.upkeep")
    knows = {who for kind in kinds for who in graph.find_modules_that_directly_import(kind)}
    assert {name for name in knows if not name.startswith(inside)} == set()
    assert "relay.store.open" in knows
