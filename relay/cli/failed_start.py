"""A start that fails -> lines of the log that was asked for: JSON from the first flag on, or else for people."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from relay.errors import RelayError

MAX_TRACE = 4_000


class Start(click.Command):
    """The daemon's command. Whoever collects JSON lines cannot read another shape, least of all when it matters."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The flags are read, and may not fit."""
        as_json = _asked(args) == "json"
        with _said(as_json=as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[__name__] = as_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """The daemon runs, or cannot."""
        with _said(as_json=ctx.meta[__name__]):
            return super().invoke(ctx)


def _asked(args: Sequence[str]) -> str | None:
    """What `--log-format` or its variable says, before anything is known to fit."""
    for given, following in zip(reversed(args), [None, *reversed(args)], strict=False):
        name, equals, value = given.partition("=")
        if name == "--log-format":
            return value if equals else following
    return os.environ.get("RELAY_LOG_FORMAT")


@contextmanager
def _said(*, as_json: bool) -> Iterator[None]:
    """Errors become JSON lines and an exit code, if that was asked for."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except (RelayError, click.ClickException) as error:
        if not as_json:
            raise
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        for line in text.splitlines():
            _log("cannot start", detail=line)
        raise click.exceptions.Exit(getattr(error, "exit_code", 1)) from error
    except Exception as error:
        if not as_json:
            raise
        trace = "".join(traceback.format_exception(error))[-MAX_TRACE:]
        _log("a fault of the relay: it has to stop", error=type(error).__name__, trace=trace)
        raise click.exceptions.Exit(1) from error


def _log(text: str, **fields: str) -> None:
    from relay.observe import LogWriter, configure_logging

    configure_logging(LogWriter(sys.stderr), format="json", level="error").error(text, **fields)
