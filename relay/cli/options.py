"""What commands share on their command line: text in, values out; and the store they visit."""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from relay.cli import is_utf8
from relay.cli.values import address
from relay.errors import ConfigurationError, RoutesInvalid

if TYPE_CHECKING:
    from relay.model import Json
    from relay.routes.config import Config
    from relay.store.contract import Archive, AuditEntry

P = ParamSpec("P")
T = TypeVar("T")


def store_url(text: str) -> Path:
    """`sqlite:///relay.db`, `sqlite:////var/lib/relay/relay.db` -> the database's path.

    ConfigurationError for a store that is yet to come, and for a folder; misuse for what is none.
    """
    if text.startswith(("postgresql:", "postgres:")):
        raise ConfigurationError("a PostgreSQL store is not available yet: use --store sqlite:///relay.db")
    scheme, _, path = text.partition(":///")
    if scheme != "sqlite" or not path:
        raise click.BadParameter("a store is written sqlite:///relay.db or sqlite:////absolute/path/relay.db")
    if not is_utf8(path):
        raise click.BadParameter(f"{path!r} is not UTF-8, which the name of a store must be")
    if path.endswith("/") or os.path.isdir(path):  # noqa: PTH112  Path.is_dir fails where it may not look
        raise ConfigurationError(f"{path} is a folder: name a file, like sqlite:///{Path(path) / 'relay.db'}")
    return Path(path)


class Flag(click.Option):
    """An option that may come from a variable: what is wrong with it is said of the one that it came from."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """`'--listen'`, or `the variable RELAY_LISTEN`."""
        if ctx and self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"the variable {self.envvar}"
        return " / ".join(f"'{each}'" for each in self.opts)


config_option = click.option(
    "--config",
    "-c",
    "config_path",
    cls=Flag,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    envvar="RELAY_CONFIG",
    default="routes.yaml",
    show_default=True,
    show_envvar=True,
    help="The routes file.",
)
store_option = click.option(
    "--store",
    "store_path",
    cls=Flag,
    type=store_url,
    metavar="URL",
    envvar="RELAY_STORE",
    default="sqlite:///relay.db",
    show_default=True,
    show_envvar=True,
    help="Where webhooks are kept.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def listen_option(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--listen`: where the public listener is."""
    return _address_option("listen", "127.0.0.1:8080", text)


def admin_option(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--admin`: where the private listener is."""
    return _address_option("admin", "127.0.0.1:8081", text)


def admin_token() -> str | None:
    """The variable RELAY_ADMIN_TOKEN, if it is set; ConfigurationError for bytes that are no text."""
    token = os.environ.get("RELAY_ADMIN_TOKEN")
    if token and not is_utf8(token):
        raise ConfigurationError("the variable RELAY_ADMIN_TOKEN is not UTF-8")
    return token


def _address_option(name: str, default: str, text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    return click.option(
        f"--{name}",
        cls=Flag,
        type=address,
        metavar="HOST:PORT",
        envvar=f"RELAY_{name.upper()}",
        default=default,
        show_default=True,
        show_envvar=True,
        help=text,
    )


def tls_options(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--tls-cert`, `--tls-key`: the pair of the public listener, see `pair_of`."""

    def both(command: Callable[P, T]) -> Callable[P, T]:
        key = _pem_option("key", "The certificate's key, PEM.")
        return _pem_option("cert", text)(key(command))

    return both


def _pem_option(name: str, text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    return click.option(
        f"--tls-{name}",
        cls=Flag,
        type=click.Path(path_type=Path, readable=False),
        metavar="FILE",
        envvar=f"RELAY_TLS_{name.upper()}",
        show_envvar=True,
        help=text,
    )


def pair_of(tls_cert: Path | None, tls_key: Path | None) -> tuple[Path, Path] | None:
    """The two, or none; misuse if it is one of them."""
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    return (tls_cert, tls_key) if tls_cert and tls_key else None


def asynchronous(command: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Let click call an `async def`."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(command(*args, **kwargs))

    return run


@asynccontextmanager
async def visiting(path: Path) -> AsyncIterator["Archive"]:
    """The store, beside the daemon if one runs. ConfigurationError if there is none."""
    from relay.store.sqlite.store import SqliteStore

    store = SqliteStore.visit(path)
    try:
        yield store
    finally:
        await store.close()


def act(command: str, details: "Mapping[str, Json]") -> "AuditEntry":
    """What is being done now, for the audit, by whoever runs this process."""
    from uuid_utils import uuid7

    from relay.store.contract import AuditEntry

    who = f"{_user()}@{socket.gethostname()}"
    return AuditEntry(id=str(uuid7()), at=datetime.now(UTC), who=who, command=command, details=details)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the uid may have no name
        return f"uid {os.getuid()}"


def load(config_path: Path) -> "Config":
    """The routes file with this process's variables; RoutesInvalid has all that is wrong with it."""
    from relay.routes import config

    return config.load(config_path, os.environ)


def load_to_look(config_path: Path) -> "Config":
    """The same for a command that sends nothing: a shell without the secrets is good enough for it."""
    from relay.routes import config

    return config.load(config_path, os.environ, stand_ins=True)


def targets_now(config_path: Path) -> "Mapping[str, object] | None":
    """The targets of the routes file by name; None if it cannot be used, which is another command's business."""
    try:
        return load_to_look(config_path).targets
    except RoutesInvalid:
        return None


def unusable(config_path: Path, invalid: RoutesInvalid) -> str:
    """The one sentence of the commands that do without a routes file; those that need it say every problem."""
    number = len(invalid.problems)
    problems = f"{number} problem{'s' * (number != 1)}"
    return f"relay: {config_path} cannot be used, `relay check {config_path}` says why: {problems}"


def was_given(option: str) -> bool:
    """False if an option of the present command has its default."""
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
