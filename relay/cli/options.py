"""Flags that several commands share -> values: listeners, the TLS pair, `--json`."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from relay.cli import is_utf8
from relay.cli.flag_types import address, relay_url
from relay.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")


class Flag(click.Option):
    """An option that may come from a variable: an error names the one that its value came from."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """`'--listen'`, or `the variable RELAY_LISTEN`."""
        if ctx and self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"the variable {self.envvar}"
        return " / ".join(f"'{each}'" for each in self.opts)


def flag(name: str, *names: str, **settings: Any) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """An option with a variable beside it: `--max-body` and RELAY_MAX_BODY."""
    variable = f"RELAY_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(name, *names, cls=Flag, envvar=variable, show_envvar=True, **settings)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class ListingCommand(click.Command):
    """A command that lists rows: `--json=lines` is another flag than `--json`, which takes no argument behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `--json=lines` as `--json-lines`: to click a flag has no value."""
        return super().parse_args(ctx, ["--json-lines" if each == "--json=lines" else each for each in args])


LINES = "lines"


def listing_json_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--json` and `--json=lines` of a `ListingCommand`: `as_json` is None, `document` or `LINES`."""
    text = "Print JSON, for programs; --json=lines: a row a line."
    lines = click.option("--json-lines", "as_json", flag_value=LINES, hidden=True)
    return click.option("--json", "as_json", flag_value="document", help=text)(lines(command))


def listen_option(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--listen`: the address of the public listener."""
    return _address_option("listen", "127.0.0.1:8080", text)


def admin_option(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--admin`: the address of the private listener."""
    return _address_option("admin", "127.0.0.1:8081", text)


relay_option = click.option(
    "--relay",
    "relay_url",
    cls=Flag,
    envvar="RELAY_URL",
    show_envvar=True,
    type=relay_url,
    metavar="URL",
    help="Ask the relay there by its admin listener, with the token in RELAY_TOKEN; not the store here.",
)


def elsewhere(relay_url: str | None, *here: str) -> str | None:
    """The relay to ask, None for here: a flag wins over the variable, and misuse if a flag says here and one there."""
    given = [name for name in here if in_arguments(name)]
    if relay_url and given and in_arguments("relay_url"):
        raise click.UsageError(f"--relay asks a relay elsewhere, --{given[0].partition('_')[0]} is of this machine")
    return None if given else relay_url


def in_arguments(name: str) -> bool:
    """True if an option of the present command was given on the command line, not by a variable or its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def access_option(text: str, *, required: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--access`: the file of the tokens."""
    return flag(
        "--access",
        "access_file",
        type=click.Path(path_type=Path, readable=False),
        metavar="FILE",
        required=required,
        help=text,
    )


def admin_token() -> str | None:
    """The variable RELAY_ADMIN_TOKEN, see `token_of`."""
    return token_of("RELAY_ADMIN_TOKEN")


def token_of(variable: str) -> str | None:
    """The token in a variable, if it is set; ConfigurationError for bytes that are no text."""
    token = os.environ.get(variable)
    if token and not is_utf8(token):
        raise ConfigurationError(f"the variable {variable} is not UTF-8")
    return token or None


def _address_option(name: str, default: str, text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    return flag(f"--{name}", type=address, metavar="HOST:PORT", default=default, show_default=True, help=text)


def tls_options(text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--tls-cert`, `--tls-key`: the pair of the public listener, see `pair_of`."""

    def both(command: Callable[P, T]) -> Callable[P, T]:
        key = _pem_option("key", "The certificate's key, PEM.")
        return _pem_option("cert", text)(key(command))

    return both


def _pem_option(name: str, text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    return flag(f"--tls-{name}", type=click.Path(path_type=Path, readable=False), metavar="FILE", help=text)


def pair_of(tls_cert: Path | None, tls_key: Path | None) -> tuple[Path, Path] | None:
    """Both files or none; misuse if one is missing."""
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    return (tls_cert, tls_key) if tls_cert and tls_key else None


def asynchronous(command: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an `async def` as a command."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(command(*args, **kwargs))

    return run


def was_given(option: str) -> bool:
    """False if an option of the present command has its default."""
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
