"""`relay demo`: webhooks as amoCRM sends them, a relay and two targets, one failing, in one terminal."""

import asyncio
import shutil
import signal
import sys
import tempfile
import webbrowser
from contextlib import AsyncExitStack
from pathlib import Path
from shlex import quote
from textwrap import indent

import aiohttp
import click
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.syntax import Syntax

from relay.cli.demo_progress import Progress
from relay.cli.demo_stage import hook, prepare
from relay.cli.demo_traffic import DownAtTimes, go_on, post
from relay.cli.output import reader_gone
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.observe import LogWriter, Observer, configure_logging
from relay.signals import Signal

SHOWN = ("leads.status", "leads.call_in", "leads.mail_in", "leads.chat", "leads.site_visit", "customers.period")
WEBHOOK_INTERVAL = 0.3  # seconds, for the eye
TIMEOUT = 20.0  # seconds for all of them to arrive


@click.command()
@click.option("--once", is_flag=True, help="End after the show: 0 if everything arrived.")
@click.option("--open", "opens", is_flag=True, help="Open its console in a browser.")
def demo(once: bool, opens: bool) -> None:
    """Show the relay at work, in one terminal and on this machine only.

    Two targets, one of which refuses every first attempt; real-shaped webhooks; a temporary store. Its console, the
    pages for operators, is up meanwhile. After the show webhooks go on, and that target is down one minute in two:
    its circuit opens, deliveries die; then it closes by itself, and what waits is delivered.
    """
    if once and opens:
        raise click.UsageError("--once ends before anybody could look: leave --once or --open out")
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        try:
            arrived = asyncio.run(_show(Path(folder), console, once=once, opens=opens))
        except TimeoutError:
            console.print(f"[red]Not everything arrived within {TIMEOUT:.0f} s.[/]")
            arrived = False
    sys.exit(0 if arrived else 1)


async def _show(folder: Path, console: Console, *, once: bool, opens: bool) -> bool:
    """Run the demo; True if everything arrived."""
    progress = Progress(console)
    registry = CollectorRegistry()
    observe = Observer(registry, configure_logging(LogWriter(sys.stderr), format="text", level="error"))

    def emit(signal_: Signal) -> None:
        observe(signal_)
        progress(signal_)

    async with AsyncExitStack() as stack:
        warehouse = DownAtTimes(fail_first=1)
        settings = await prepare(stack, folder, warehouse)
        relay = await stack.enter_async_context(running(settings, emit=emit, registry=registry))
        _introduce(console, settings)
        if opens:
            await asyncio.to_thread(webbrowser.open, f"{url(relay.admin_listening)}/")
        await _post_all(relay, settings)
        async with asyncio.timeout(TIMEOUT):
            await progress.settled()
        arrived = progress.dead == 0 and progress.delivered == progress.planned > 0
        _conclude(console, progress)
        if once:
            _point_on(console)
        else:
            _invite(console, progress, relay, settings)
            if not reader_gone():
                progress.quiet = True
                going_on = asyncio.create_task(go_on(hook(relay, settings), SHOWN[0], warehouse, console))
                await _interrupted()
                going_on.cancel()
    return arrived


async def _post_all(relay: Relay, settings: Settings) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for event_type in SHOWN:
            await post(session, hook(relay, settings), event_type)
            await asyncio.sleep(WEBHOOK_INTERVAL)


def _introduce(console: Console, settings: Settings) -> None:
    console.print("\n[bold]amocrm-relay[/]: a webhook is committed to disk before it is answered,")
    console.print("and delivered until it has arrived: at least once.\n")
    console.print("[bold]The routes[/] of this demo:\n")
    _print_yaml(console, settings.config.read_text())
    console.print("[bold]What happens[/] when amoCRM's digital pipeline posts six webhooks:\n")


def _print_yaml(console: Console, text: str) -> None:
    if console.is_terminal:
        console.print(Syntax(text, "yaml", background_color="default", padding=(0, 2)))
    else:  # Syntax fills each line up with blanks
        console.print(indent(text, "  "), soft_wrap=True, markup=False)


def _conclude(console: Console, progress: Progress) -> None:
    console.print(f"\n[bold]In the end[/] {progress.webhooks} webhooks made {progress.planned} deliveries:")
    console.print(
        f"{progress.delivered} delivered, {progress.retried} of them after a failed first attempt,"
        f" {progress.dead} dead.\n"
    )


def _program() -> str:
    """How to start this program from this shell: `relay` if it is on the path, else as it was started."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{quote(sys.executable)} -m relay"
    found = shutil.which("relay")
    if found is None or not started.exists() or not started.samefile(found):
        return quote(sys.argv[0])
    return "relay"


def _point_on(console: Console) -> None:
    console.print("[bold]Look next[/]\n")
    documents = (
        ("config/routes.example.yaml", "a routes file to start from"),
        ("README.md", "how to set it up, in amoCRM too"),
    )
    shown = (
        (f"{_program()} demo", "the same, but it stays up and can be looked into"),
        (f"{_program()} --help", "every command"),
        *(each for each in documents if Path(each[0]).exists()),
    )
    widest = max(len(what) for what, _ in shown)
    for what, why in shown:
        console.print(f"  {what:<{widest}}  {why}", soft_wrap=True, markup=False)
    console.print()


def _invite(console: Console, progress: Progress, relay: Relay, settings: Settings) -> None:
    routes, store = f"-c {quote(str(settings.config))}", f"--store {quote(f'sqlite:///{settings.store}')}"
    console.print("[bold]Look next[/], in another terminal, while this one stays up:\n")
    for command in (
        f"{_program()} status {routes} {store}",
        f"{_program()} show {progress.last_id} {routes} {store}",
        f"{_program()} explain {progress.last_id} {routes} {store}",
        f"{_program()} send --event leads.call_in --url {hook(relay, settings)}",
        f"curl {url(relay.admin_listening)}/metrics",
    ):
        console.print(f"  {command}", soft_wrap=True, markup=False)
    console.print(
        f"\n[bold]Its console[/], for a browser on this machine: {url(relay.admin_listening)}/", soft_wrap=True
    )
    console.print(
        "\nWebhooks go on, and the warehouse is down one minute in two: its circuit opens, deliveries die; a minute"
        " later what waits is delivered.",
        soft_wrap=True,
    )
    console.print("See why, pause it, replay the dead ones. Ctrl-C ends it, and deletes its store.\n")


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
