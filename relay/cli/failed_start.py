"""A start that fails -> lines in the log format that was asked for: JSON, or text for people."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from relay.errors import RelayError


class Start(click.Command):
    """Run the daemon; a failure before its log exists is a JSON line too, if the log is JSON."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the flags; a wrong one is a failed start."""
        as_json = _log_format(args) == "json"
        with _logged(as_json=as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[__name__] = as_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the daemon; log why it cannot."""
        with _logged(as_json=ctx.meta[__name__]):
            return super().invoke(ctx)


def _log_format(args: Sequence[str]) -> str | None:
    """The value of `--log-format` or its variable, read before the flags are checked."""
    for given, following in zip(reversed(args), [None, *reversed(args)], strict=False):
        name, equals, value = given.partition("=")
        if name == "--log-format":
            return value if equals else following
    return os.environ.get("RELAY_LOG_FORMAT")


@contextmanager
def _logged(*, as_json: bool) -> Iterator[None]:
    """Turn errors into JSON lines and an exit code, if `as_json`."""
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
        from relay.observe.log import trace_of

        _log("internal error: the relay stops", error=type(error).__name__, trace=trace_of(error))
        raise click.exceptions.Exit(1) from error


def _log(text: str, **fields: str) -> None:
    from relay.observe import LogWriter, configure_logging

    configure_logging(LogWriter(sys.stderr), format="json", level="error").error(text, **fields)
