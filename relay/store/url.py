"""The text of `--store` -> the kind of the store, and where it is. Opens nothing; no password is ever printed."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from relay.errors import ConfigurationError

_SQLITE = "a store is a path like relay.db or /var/lib/relay/relay.db, also written sqlite:///relay.db"
_POSTGRES = "a PostgreSQL store is written postgresql://relay@db1,db2/relay"
_PASSWORDS = ("password", "sslpassword")  # of libpq's parameters, those that are secret
_NO_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")  # libpq would print the whole word it stands in
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters or more: C: is a drive
_REFERENCE = re.compile(r"\$\$\{|\$\{[^}]*\}?")
_PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """A file of this machine. It prints as people know it: by its path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A PostgreSQL database. `dsn` is for libpq, its password included: it must not be printed.

    `shown` has no password, and is what `str` and `repr` print. Without `prepare` no statement is prepared: a pooler
    may give the next transaction to another server connection.
    """

    dsn: str = field(repr=False)
    shown: str = field(compare=False)
    prepare: bool = True

    def __str__(self) -> str:
        return self.shown


StoreUrl: TypeAlias = SqliteUrl | PostgresUrl


def state_folder(url: StoreUrl, spool: Path) -> Path:
    """Where this machine keeps what is beside the store: the folder of the file, or of the `spool` before it."""
    return (url.path if isinstance(url, SqliteUrl) else spool).parent


def parse_store_url(text: str, *, expand: Callable[[str], str] = lambda text: text) -> StoreUrl:
    """Read `relay.db`, `/var/lib/relay/relay.db`, `sqlite:///relay.db` or `postgresql://relay@db1,db2/relay`.

    `expand` replaces what stands in `${…}`, in a PostgreSQL URL only. ConfigurationError for a folder, ValueError for
    other texts; neither has what was written, if that may have a password.
    """
    scheme, separator, rest = text.partition("://")
    if scheme in ("postgresql", "postgres"):
        return _postgres(_expanded(rest, expand)) if separator else _refuse(_POSTGRES)
    if not separator and text and not _SCHEME.match(text):
        return _file(text)
    if scheme != "sqlite":
        raise ValueError(f"{_SQLITE}; {_POSTGRES}")
    if not rest.startswith("/") or rest == "/":
        raise ValueError(_SQLITE)
    return _file(rest.removeprefix("/"))


def store_url_text(url: StoreUrl) -> str:
    """What `parse_store_url` reads as this URL, a password included: it must not be printed."""
    match url:
        case SqliteUrl(path):
            return f"sqlite:///{path}"
        case PostgresUrl(dsn, prepare=True):
            return dsn
        case PostgresUrl(dsn):
            return f"{dsn}{'&' if '?' in dsn else '?'}prepare=off"


def _file(path: str) -> SqliteUrl:
    if path.endswith("/") or os.path.isdir(path):  # noqa: PTH112  Path.is_dir fails where it may not look
        raise ConfigurationError(f"{path} is a folder: name a file, like {Path(path) / 'relay.db'}")
    return SqliteUrl(Path(path))


def _expanded(text: str, expand: Callable[[str], str]) -> str:
    """Put values in place of references; whatever is in a value, it cannot become another part of the URL."""
    return _REFERENCE.sub(lambda place: quote(expand(place[0]), safe=""), text)


def _postgres(rest: str) -> PostgresUrl:
    """Check what libpq would complain of by quoting it, a password in it or not, and what it would try for ever."""
    if re.search(r"[\s\x00-\x1f\x7f]", rest) or not rest.isprintable():
        _refuse(f"{_POSTGRES}: without spaces; in a user's name and a password write %20")
    if _NO_PERCENT.search(rest):
        _refuse(f"{_POSTGRES}: a % is written %25")
    place, question, query = rest.partition("?")
    authority, slash, database = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "@" in login or "@" in database or "/" in database:
        _refuse(f"{_POSTGRES}: in a user's name, a password and the name of a database write @ as %40, / as %2F")
    _check_hosts(hosts)
    prepare, parameters = _parameters(query if question else "")
    user = login.partition(":")[0]
    return PostgresUrl(
        dsn=_joined(login + at + hosts + slash + database, parameters),
        shown=_joined(user + at + hosts + slash + database, [each for each in parameters if not _is_password(each)]),
        prepare=prepare,
    )


def _check_hosts(hosts: str) -> None:
    for each in hosts.split(","):
        found = re.fullmatch(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::(\d*))?", each)
        if not found:
            _refuse(f"{_POSTGRES}: hosts are written db1,db2:5433 or [2001:db8::1]:5432; in a password : is %3A, @ %40")
        elif found[1] and int(found[1]) not in _PORTS:
            _refuse(f"{_POSTGRES}: a port is a number from 1 to 65535")


def _parameters(query: str) -> tuple[bool, list[str]]:
    """Split them; `prepare` is not libpq's but ours."""
    prepare, kept = True, []
    for each in query.split("&") if query else []:
        name, equals, value = each.partition("=")
        if not name or not equals or "=" in value:
            _refuse(f"{_POSTGRES}: parameters follow as ?name=value&name=value; in a password write ? as %3F")
        elif name != "prepare":
            kept.append(each)
        elif value not in ("on", "off"):
            _refuse("prepare is on or off: postgresql://relay@db1/relay?prepare=off")
        else:
            prepare = value == "on"
    return prepare, kept


def _is_password(parameter: str) -> bool:
    return parameter.partition("=")[0] in _PASSWORDS


def _joined(place: str, parameters: list[str]) -> str:
    return f"postgresql://{place}" + (f"?{'&'.join(parameters)}" if parameters else "")


def _refuse(text: str) -> "PostgresUrl":
    raise ValueError(text)
