"""`relay sink`: requests of the relay -> answers, good or bad as asked, and a line for people about each."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from textwrap import indent

import click
from aiohttp import web
from rich.cells import set_cell_size
from rich.console import Console
from rich.text import Text

from relay.amocrm import events, form
from relay.cli.flag_types import Address, Whole, address, duration
from relay.cli.output import reader_gone
from relay.errors import ConfigurationError, UnreadableError
from relay.model import Json
from relay.os_errors import os_error_text
from relay.printable import printable

LARGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How to answer.

    With `fail_first`, the first so many requests of each event get `status` (default 503) and the others 200;
    without it, every request gets `status` (default 200). An answer that is not 2xx carries `retry_after` seconds.
    """

    status: int | None = None
    fail_first: int = 0
    delay: timedelta = timedelta()
    retry_after: int | None = None

    def answer(self, nth: int) -> int:
        """The status for the `nth` request of an event, counted from 1."""
        if self.fail_first:
            return (self.status or 503) if nth <= self.fail_first else 200
        return self.status or 200

    def headers(self, status: int) -> dict[str, str]:
        """Headers of an answer with that status."""
        failing = self.retry_after is not None and not 200 <= status < 300
        return {"Retry-After": str(self.retry_after)} if failing else {}

    def __str__(self) -> str:
        late = f", {self.delay.total_seconds():g} s late" if self.delay else ""
        if self.fail_first:
            return f"{self.answer(1)} to the first {self.fail_first} requests of each event, then 200{late}"
        return f"{self.answer(1)}{late}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came, and the status it gets. Nothing in it is safe to print as it is."""

    at: datetime
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: int
    query: str = ""

    @property
    def content(self) -> Json:
        """The body: its JSON value, or else its text."""
        try:
            value = json.loads(self.body)
            json.dumps(value, indent=2, allow_nan=False)  # too deep or too large a number to be written again: text
        except (ValueError, RecursionError):
            return self.body.decode(errors="backslashreplace")
        return value

    @property
    def type(self) -> str:
        """`leads.status`; `unparsed` for a raw delivery; `-` if the body has none."""
        if "relay-unparsed" in self.headers:
            return "unparsed"
        content = self.content
        if isinstance(content, str):
            return self._form_type()
        type_ = content.get("type") if isinstance(content, dict) else None
        return type_ if isinstance(type_, str) else "-"

    @property
    def shown_type(self) -> str:
        """`leads.status`, or `PUT leads.status`: the method only if a target has another than POST."""
        return f"{self.method} {self.type}" if self.method in ("PUT", "PATCH") else self.type

    def _form_type(self) -> str:
        """The type in amoCRM's own encoding, which a target of `format: form` gets."""
        try:
            tree = form.decode(self.body, self.headers.get("content-type", ""))
            return events.read(tree, source="", received_at=self.at, new_id=str)[0].type
        except UnreadableError:
            return "-"

    def header(self, name: str) -> str:
        """The header, or `-` if it is absent."""
        return self.headers.get(name, "-")


def receiver(show: Callable[[Received], None], behaviour: Behaviour = Behaviour()) -> web.Application:
    """An application that takes any method and path, calls `show` at once, and then answers as `behaviour` says.

    The requests of an event are counted for each path: two targets may share one receiver.
    """
    seen: Counter[tuple[str, str]] = Counter()

    async def take(request: web.Request) -> web.Response:
        event = (request.path, request.headers.get("webhook-id", ""))
        body = await request.read()
        seen[event] += 1
        status = behaviour.answer(seen[event])
        show(
            Received(
                at=datetime.now(UTC),
                method=request.method,
                path=request.path,
                query=request.rel_url.raw_query_string,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
                answer=status,
            )
        )
        await asyncio.sleep(behaviour.delay.total_seconds())
        return web.Response(status=status, headers=behaviour.headers(status))

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_route("*", "/{path:.*}", take)
    return app


# ---- what people and programs read


def line(received: Received) -> Text:
    """`10:53:00  leads.status              …9a3f21bc  attempt 2  signed    503`, 80 columns at most."""
    event_id = printable(received.header("webhook-id"))
    good = 200 <= received.answer < 300
    return Text.assemble(
        (f"{received.at.astimezone():%H:%M:%S}", "dim"),
        ("  " + set_cell_size(printable(received.shown_type), 24), "bold"),
        # the front of a UUIDv7 is the time: within a minute only its end differs
        ("  " + set_cell_size(f"…{event_id[-8:]}" if len(event_id) > 9 else event_id, 9), "dim"),
        "  " + set_cell_size(f"attempt {printable(received.header('relay-attempt'))}", 10),
        "  " + ("signed  " if "webhook-signature" in received.headers else "unsigned"),
        (f"  {received.answer}", "green" if good else "red"),
        "  replay" if received.header("relay-replay") == "true" else "",
    )


def head(received: Received) -> str:
    """The request line and the headers, without control characters."""
    path = f"{received.path}?{received.query}" if received.query else received.path
    lines = [f"{received.method} {path}", *(f"{name}: {value}" for name, value in received.headers.items())]
    return "\n".join(map(printable, lines))


def body(received: Received) -> str:
    """JSON indented, anything else as it is, both without control characters."""
    content = received.content
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
    return printable(text, keep="\n")


def json_line(received: Received) -> str:
    """One JSON object on one line; `body` is a JSON value, or text if the body is not JSON."""
    document = {
        "at": received.at.isoformat(),
        "method": received.method,
        "path": received.path,
        **({"query": received.query} if received.query else {}),
        "headers": received.headers,
        "body": received.content,
        "answer": received.answer,
    }
    return printable(json.dumps(document, ensure_ascii=False))


# ---- the command


@click.command("sink", context_settings={"show_default": True})
@click.option("--listen", type=address, default="127.0.0.1:9000", metavar="HOST:PORT", help="Where to listen.")
@click.option("--status", type=Whole(200, 599, of="a status"), metavar="N", help="Answer N instead of 200.")
@click.option("--fail-first", type=Whole(0), metavar="N", help="Refuse the first N requests of each event.")
@click.option("--delay", type=duration, metavar="DURATION", help="Answer that much later: 200ms, 2s.")
@click.option(
    "--retry-after", type=Whole(0, of="seconds"), metavar="SECONDS", help="Retry-After of an answer that is not 2xx."
)
@click.option("--headers", is_flag=True, help="Print the request line and the headers of each too.")
@click.option("--body", "bodies", is_flag=True, help="Print each body too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs.")
def command(
    listen: Address,
    status: int | None,
    fail_first: int | None,
    delay: timedelta | None,
    retry_after: int | None,
    headers: bool,
    bodies: bool,
    as_json: bool,
) -> None:
    """Be a target: print what arrives, and fail on request.

    \b
    relay sink                                 takes everything
    relay sink --fail-first 2 --retry-after 5  503 twice for each event, then 200
    relay sink --status 410                    refuses everything
    relay sink --delay 20s                     is too slow for most time-outs
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    behaviour = Behaviour(
        status=status, fail_first=fail_first or 0, delay=delay or timedelta(), retry_after=retry_after
    )
    show = _print_json if as_json else partial(_print, Console(highlight=False), headers, bodies)
    asyncio.run(_serve(listen, receiver(show, behaviour), behaviour))


def _print(screen: Console, headers: bool, bodies: bool, received: Received) -> None:
    screen.print(line(received), soft_wrap=True)
    if headers:
        click.echo(indent(head(received), "  ") + "\n")
    if bodies:
        click.echo(indent(body(received), "  ") + "\n")
    _end_unread()


def _print_json(received: Received) -> None:
    click.echo(json_line(received))
    _end_unread()


def _end_unread() -> None:
    if reader_gone():
        signal.raise_signal(signal.SIGTERM)


async def _serve(listen: Address, app: web.Application, behaviour: Behaviour) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await _listen(runner, listen)
        click.echo(f"Listening on http://{Address(*runner.addresses[0][:2])} until Ctrl-C.", err=True)
        click.echo(f"Answering {behaviour}.", err=True)
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, at: Address) -> None:
    try:
        await web.TCPSite(runner, at.host, at.port).start()
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {at}: {os_error_text(error)}; choose another with --listen"
        ) from error
