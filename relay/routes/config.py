"""The routes file -> Config: accounts, sources, targets, retention and compiled routes, or every problem at once.

    bytes -> yaml_document.parse -> secrets.expand -> schema.check
        -> read_accounts, read_catalogs, read_sources, read_targets, read_routes, read_notify -> resolve_names
        -> read_tests

Each stage records its problems and continues with the valid parts, so that one run reports them all.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from relay.errors import Problem, RoutesInvalid, RoutesMissing
from relay.model import DIRECT, Account, HealDelivery, Order, Retention, Secret, Source, Target
from relay.model.event_names import EventNames
from relay.model.names import Catalog
from relay.model.notify import Notify
from relay.os_errors import os_error_text, permission_problem
from relay.routes.accounts import read_accounts
from relay.routes.diagnostics import Finding, Problems, Where, path_text
from relay.routes.egress import hide_user, read_egress
from relay.routes.match import Matcher, Route
from relay.routes.named import check_triggers, resolve_names
from relay.routes.names_files import read_catalogs
from relay.routes.notify import read_notify
from relay.routes.reader import OnOpen, Reader
from relay.routes.route_tests import RouteTest, read_tests
from relay.routes.routes import read_routes
from relay.routes.schema import check
from relay.routes.secrets import expand, refuse_to_open
from relay.routes.sources import read_sources
from relay.routes.target_names import names_of_sources, with_names
from relay.routes.target_templates import as_written
from relay.routes.targets import read_targets
from relay.routes.units import age
from relay.routes.yaml_document import MAX_BYTES, Document
from relay.routes.yaml_document import parse as parse_document

_NAMES: Mapping[str | int, tuple[Where, ...]] = {
    "routes": (("name",), ("to",)),
    "tests": (("name",), ("expect",), ("event", "source")),
    "notify": (("on",), ("quiet", "except"), ("language",)),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A valid routes file. Immutable; a reload makes another.

    `archive`: the folder that a purge writes to before it deletes. `catalogs`: the names of things by account, of those
    whose names are known. `remarks`: where a name is outdated. `text`: of the file, with what secrets it holds.
    """

    file: str
    text: bytes = field(repr=False)
    accounts: Mapping[str, Account]
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    retention: Retention
    archive: Path | None
    routes: tuple[Route, ...]
    tests: tuple[RouteTest, ...]
    catalogs: Mapping[str, Catalog] = field(repr=False)
    remarks: tuple[Finding, ...]
    notify: tuple[Notify, ...] = ()
    matcher: Matcher = field(repr=False)
    document: Document = field(repr=False)

    def source_at(self, path: str) -> Source | None:
        """Return the source whose address `/hooks/{source}/{token}` this path is.

        Constant time with regard to the tokens: the path is looked up by its digest, of which an attacker cannot choose
        a part, so neither a token that is nearly right nor a source that exists takes longer than any other path.
        """
        return self._source_of_path.get(_digest(path))

    @cached_property
    def _source_of_path(self) -> Mapping[bytes, Source]:
        return {
            _digest(f"/hooks/{source.name}/{token.reveal()}"): source
            for source in self.sources.values()
            for token in source.tokens
        }

    @cached_property
    def source_of_token(self) -> Mapping[Secret, str]:
        """Token -> the first source that has it. A look-up compares digests."""
        return {token: name for name in reversed(list(self.sources)) for token in self.sources[name].tokens}

    @cached_property
    def planned_apart(self) -> frozenset[str]:
        """The names of targets with an order, whose deliveries have ordering keys, that drop heals, or that enrich."""
        return frozenset(
            name
            for name, target in self.targets.items()
            if target.order is not Order.NONE or target.heal is HealDelivery.DROP or target.enrich
        )

    @cached_property
    def digest(self) -> str:
        """The same for the same routes file, whatever its secrets are."""
        return self.document.digest()

    @cached_property
    def event_names(self) -> EventNames:
        """The names in events, for people."""
        return names_of_sources(self.sources, self.catalogs)

    def remark_lines(self) -> list[str]:
        """Each remark with its line and column."""
        marked = (Problem(*self.document.mark(where), path_text(where), said) for where, said in self.remarks)
        return [each.text(self.file) for each in marked]

    def url_as_written(self, target: str) -> str:
        """The target's URL with every `${…}` unresolved, except defaults that apply: safe to print."""
        return self.document.shown(("targets", target, "url"))

    def proxy_as_written(self, target: str) -> str:
        """The URL of the proxy that the target has, in the same way and without user and password: safe to print."""
        own: Where = ("targets", target, "proxy")
        return hide_user(self.document.shown(own if self.document.has(own) else ("defaults", "proxy")))

    def target_as_written(self, name: str) -> Target:
        """The target with the `${…}` of URL, query, body and templates unresolved: what it renders may be printed."""
        if name not in self._as_written:
            self._as_written[name] = as_written(self.document, self.targets[name])
        return self._as_written[name]

    @cached_property
    def _as_written(self) -> dict[str, Target]:
        """Those that were asked for: each compiles its templates."""
        return {}


def _digest(path: str) -> bytes:
    return hashlib.blake2s(path.encode(errors="surrogateescape")).digest()


def _ignore(_path: Path) -> None:
    """Do nothing when a file is opened."""


def load(
    path: Path,
    env: Mapping[str, str],
    *,
    stand_ins: bool = False,
    stop_routes: bool = False,
    names: Path | None = None,
    on_open: OnOpen = _ignore,
) -> Config:
    """Read and compile the file; raises `RoutesInvalid` with every problem, also when it cannot be read.

    See `parse`. `on_open` is called with this file, and with each that it names, before it is opened.
    """
    on_open(path)
    return parse(
        read(path), file=str(path), env=env, stand_ins=stand_ins, stop_routes=stop_routes, names=names, on_open=on_open
    )


def read(path: Path) -> bytes:
    """Read the bytes that `parse` takes; `RoutesInvalid` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        advice = "write one with relay init, or name another with --config"
        raise RoutesMissing(str(path), [Problem(0, 0, "", f"no such file: {advice}")]) from None
    except OSError as error:
        said = permission_problem(path) or f"cannot be read: {os_error_text(error)}"
        raise RoutesInvalid(str(path), [Problem(0, 0, "", said)]) from None


def parse(
    text: bytes | str,
    *,
    file: str,
    env: Mapping[str, str],
    stand_ins: bool = False,
    stop_routes: bool = False,
    names: Path | None = None,
    on_open: OnOpen = _ignore,
    sealed: bool = False,
) -> Config:
    """Compile a routes file; `file` is its name in messages, `env` the variables that `${NAME}` may use.

    Reads the files that `${file:…}` names, and of accounts the catalogs in the folder `names`. With `stand_ins`,
    secrets that only requests need may be missing: for commands that send none. With `stop_routes` a route whose names
    are unknown is stopped, and no problem. `sealed`, with stand-ins: no file that the text names is looked at, for a
    text that comes from elsewhere. Raises `RoutesInvalid` with every problem.
    """
    problems = Problems()
    document = parse_document(text, problems)
    if document is None:
        raise RoutesInvalid(file, problems.found())
    expanded = expand(document, env, problems, stand_ins=stand_ins, on_open=refuse_to_open if sealed else on_open)
    reader = Reader(expanded, problems, on_open, stand_ins=stand_ins, sealed=sealed)
    data = text if isinstance(text, bytes) else text.encode(errors="replace")
    config = _compiled(reader, file, data, names, stop_routes=stop_routes)
    if problems:
        raise RoutesInvalid(file, problems.found())
    return config


def _compiled(reader: Reader, file: str, text: bytes, names: Path | None, *, stop_routes: bool) -> Config:
    """Build the config; valid only if the reader has no problems afterwards."""
    _refuse_variables_in_names(reader)
    check(reader.document, reader.problems)
    accounts, sources, targets = read_accounts(reader, Path(file).parent), read_sources(reader), read_targets(reader)
    catalogs = read_catalogs(reader, accounts.values(), names)
    routes, remarks = resolve_names(reader, read_routes(reader), sources, catalogs, stop_routes=stop_routes)
    remarks += check_triggers(reader, sources, catalogs, stop_routes=stop_routes)
    return Config(
        file=file,
        text=text,
        accounts=accounts,
        sources=sources,
        targets=with_names(reader, targets, sources, catalogs),
        retention=_retention(reader),
        archive=reader.take(("retention", "archive"), lambda text: Path(file).parent / text, None),
        routes=routes,
        tests=read_tests(reader, {route.name for route in routes if route.name}, targets),
        catalogs=catalogs,
        remarks=remarks,
        notify=read_notify(reader, read_egress(reader, ("defaults",), DIRECT)),
        matcher=Matcher(routes),
        document=reader.document,
    )


def _refuse_variables_in_names(reader: Reader) -> None:
    # names become labels and log fields, where a secret must never appear
    for where in reader.document.written:
        names = _NAMES.get(where[0], ())
        if (where[2:3] in names or where[2:4] in names) and where[2:4] != ("expect", "requests"):
            reader.wrong(where, "a name cannot use ${…}")


def _retention(reader: Reader) -> Retention:
    default = Retention()

    def take(name: str, default: timedelta | None) -> timedelta | None:
        return reader.take(("retention", name), age, default)

    return Retention(
        delivered=take("delivered", default.delivered),
        dead=take("dead", default.dead),
        unrouted=take("unrouted", default.unrouted),
        unparsed=take("unparsed", default.unparsed),
    )
