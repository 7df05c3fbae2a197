"""`relay …` -> one command, its lines, its exit code: 0 done, 1 not done, 2 misused.

A command is parse, call, print: `relay.operations` does the work. Its module is imported when the command runs, so
that each starts fast. What all commands share (how errors end, how help is laid out) is here.
"""

import errno
import io
import os
import sys
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from relay import __version__
from relay.errors import RelayError

COMMANDS = {
    "Receive and deliver": {
        "run": ("relay.cli.run:run", "Receive, store and deliver webhooks: the daemon."),
    },
    "Try it out": {
        "demo": ("relay.cli.demo:demo", "Show the relay at work, in one terminal and on this machine only."),
        "send": ("relay.cli.send:send", "Post a webhook exactly as amoCRM would."),
        "sink": ("relay.cli.sink:command", "Be a target: print what arrives, and fail on request."),
        "forward": ("relay.cli.forward:forward", "Post live events to a developer's machine, beside their targets."),
    },
    "The routes file": {
        "init": ("relay.cli.init:init", "Write a first routes file, from a recipe."),
        "check": ("relay.cli.check:check", "Validate a routes file and run its tests."),
        "explain": ("relay.cli.explain:explain", "Show where a webhook would go, and why; send nothing."),
        "names": (
            "relay.cli.names:names",
            "Ask accounts for the names of stages, users and custom fields.",
        ),
        "schema": ("relay.cli.schema:schema", "Print the JSON Schema of the routes file or of an event."),
    },
    "Look": {
        "status": ("relay.cli.status:status", "Show the state of every target, of intake and of the daemon."),
        "overview": ("relay.cli.overview:overview", "Say whether all is well, and what to do if not."),
        "list": ("relay.cli.list:list_", "List deliveries, or what is unparsed, unrouted or refused."),
        "story": ("relay.cli.story:story", "Show what became of the events of one lead or contact."),
        "attempts": (
            "relay.cli.attempts:attempts",
            "List attempts, newest first: what failed and why, and what was slow.",
        ),
        "show": ("relay.cli.show:show", "Show one webhook: its events, deliveries and every attempt."),
        "tail": ("relay.cli.tail:tail", "Follow webhooks, events and attempts as they happen."),
        "export": ("relay.cli.export:export", "Print stored events, a line of JSON each, oldest first."),
        "acts": ("relay.cli.acts:acts", "List long acts of relays, newest first; show or stop one."),
        "audit": ("relay.cli.audit:audit", "List what operators did, newest first."),
    },
    "amoCRM's own API": {
        "account": ("relay.cli.account:account", "Look whether amoCRM's API serves the relay, or grant it access."),
        "connect": ("relay.cli.connect:connect", "Set the webhook of a source up in amoCRM, by its API."),
        "disconnect": ("relay.cli.connect:disconnect", "Delete the webhook of a source in amoCRM."),
        "guard": ("relay.cli.guard:guard", "Have the guard go on after a webhook was switched off."),
        "heal": ("relay.cli.heal:heal", "Look for changes of which no webhook came, and let them be healed."),
    },
    "Mend": {
        "replay": (
            "relay.cli.replay:replay",
            "Make dead, delivered or scheduled deliveries due now.",
        ),
        "probe": ("relay.cli.probe:probe", "Ask a target now, and print what it answers."),
        "notify": ("relay.cli.notify:notify", "Test the notifications that the routes file asks for."),
        "drop": ("relay.cli.drop:drop", "Give up what is pending for a target that is gone."),
        "dismiss": ("relay.cli.dismiss:dismiss", "Dismiss what is dead or unparsed, and understood."),
        "reparse": ("relay.cli.reparse:reparse", "Read unparsed webhooks again, with today's code and routes."),
        "pause": ("relay.cli.pause:pause", "Pause deliveries to a target."),
        "resume": ("relay.cli.resume:resume", "Resume deliveries to a paused target."),
    },
    "Who may look and act": {
        "access": ("relay.cli.access:access", "Give people and programs tokens of their own."),
    },
    "Care for the store": {
        "backup": ("relay.cli.backup:backup", "Copy the store while it is in use, and verify the copy."),
        "verify": ("relay.cli.verify:verify", "Look for what is corrupt or missing in the store."),
        "forget": ("relay.cli.forget:forget", "Erase the data of a person."),
        "purge": ("relay.cli.purge:purge", "Delete webhooks past their retention."),
        "migrate": ("relay.cli.migrate:migrate", "Bring the schema of a PostgreSQL store up to date."),
        "move": ("relay.cli.move:move", "Copy a SQLite store into an empty PostgreSQL store."),
        "spool": ("relay.cli.spool:spool", "Forward or give up what a relay that is gone has left in its spool."),
    },
    "These commands": {
        "help": ("relay.cli.help:help_", "Show the help of a command, or the list of commands."),
        "completion": ("relay.cli.completion:completion", "Print the script that completes commands in a shell."),
    },
}
"""Heading -> command -> its module and function, and the first line of its help (a test compares it)."""


INSTALLED = "relay.installed"
"""In a context's `meta`: whether the settings are those of the relay that systemd runs here."""


class NotDone(click.ClickException):
    """An expected failure: its lines go to standard error, and the exit code is 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print `relay: …`, line by line."""
        from relay.printable import printable

        for line in self.message.splitlines():
            click.echo(f"relay: {printable(line)}", file=file or sys.stderr)


class LazyGroup(click.Group):
    """Run commands of `COMMANDS`; a RelayError becomes lines, an interruption the exit code 130.

    What the desk cannot be asked is misuse.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of this command and no other."""
        for section in COMMANDS.values():
            if cmd_name in section:
                module, attribute = section[cmd_name][0].split(":")
                command: click.Command = getattr(import_module(module), attribute)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; each but the daemon has the settings of the relay that is installed here."""
        if args[0] != "run":
            from relay.cli import installed

            ctx.meta[INSTALLED] = installed.adopt(os.environ)
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}.{self._meant(ctx, args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, typed: str) -> str:
        """The nearest command; click would compare with the imported ones alone, and none is."""
        from difflib import get_close_matches

        near = get_close_matches(typed, self.list_commands(ctx), n=1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing them, and options."""
        named = (each for section in COMMANDS.values() for each in section.items())
        found = [CompletionItem(name, help=line) for name, (_where, line) in named if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands under their headings, without importing them."""
        for heading, section in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_where, line) in section.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments that are not UTF-8; names of files may be any bytes."""
        for given in args:
            if not is_utf8(given) and not os.path.lexists(given.partition("=")[2] or given):
                shown = given[:80].partition("://")[0]  # behind it there may be a password
                raise click.UsageError(
                    f"the argument {shown!r} is not UTF-8: have the terminal use UTF-8"
                    " (PuTTY: Window, Translation, Remote character set)"
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn errors into lines and exit codes."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise self._explained(ctx, error) from error
        except RelayError as error:
            from relay.operations.reading import InvalidParameters

            if isinstance(error, InvalidParameters):
                raise click.UsageError(str(error)) from error
            raise NotDone(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(130)

    def _explained(self, ctx: click.Context, error: click.UsageError) -> click.UsageError:
        """The error that says whose flag it is where click does not, and never suggests one that its help hides."""
        if error.ctx is None and ctx.invoked_subcommand and (command := self.get_command(ctx, ctx.invoked_subcommand)):
            error.ctx = click.Context(command, info_name=ctx.invoked_subcommand, parent=ctx)
        if error.ctx is None:
            return error
        options = [each for each in error.ctx.command.params if isinstance(each, click.Option)]
        match error:
            case click.NoSuchOption(option_name="--relay"):
                says = "'--relay' asks a relay elsewhere, and this command works on this machine alone"
                return click.UsageError(says, error.ctx)
            case click.NoSuchOption():
                hidden = {name for each in options if each.hidden for name in each.opts}
                possible = [each for each in error.possibilities or () if each not in hidden]
                return click.NoSuchOption(error.option_name, possibilities=possible, ctx=error.ctx)
            case click.BadOptionUsage(option_name="--json"):
                lists = any("--json-lines" in each.opts for each in options)
                says = f"'--json' takes no value{', or lines: --json=lines' if lists else ''}"
                return click.BadOptionUsage("--json", says, ctx=error.ctx)
        return error


def is_utf8(text: str) -> bool:
    """False if an argument or a variable was given in bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # Python has such bytes as lone surrogates
        return False
    return True


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def relay() -> None:
    """Receive amoCRM's webhooks, store them on disk, and deliver them as JSON, at least once.

    \b
    New here?   relay demo
    Set up:     relay init  &&  relay check  &&  relay run
    In doubt:   relay status,  relay list --state dead,  relay show ID
    """  # noqa: D301  # \b is click's sign for "keep these lines"


def main() -> None:
    """Run the console command. Printing does not fail for a charset or a closed pipe.

    On a full disk it does: one line and exit code 1.
    """
    _fill_standard_files()
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            setattr(sys, name, _ignoring_closed_pipes(stream))
    try:
        relay(prog_name="relay")
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or error.filename:
            raise
        print(f"relay: cannot write: {error.strerror}", file=sys.stderr)
        sys.exit(1)


class _StandardStream(io.FileIO):
    """Standard output or error; once its reader is `gone` (`| head`) the rest is dropped, and no exit code changes."""

    gone = False

    def write(self, data: Any, /) -> int:
        """Write, or drop `data` once the reader is gone."""
        if not self.gone:
            try:
                return super().write(data)
            except BrokenPipeError:
                self.gone = True
            except OSError:
                self.gone = True  # reported once, not again by the interpreter when it ends
                raise
        return memoryview(data).nbytes


def _ignoring_closed_pipes(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _StandardStream(stream.fileno(), "w", closefd=False)
    encoding, by_line = stream.encoding, stream.line_buffering
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=by_line)


def _fill_standard_files() -> None:
    """Open /dev/null for each standard file that is closed (`2>&-`).

    Else the next file that is opened gets its number: libuv aborts then, and others print into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
