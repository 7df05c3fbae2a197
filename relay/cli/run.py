"""`relay run`: flags and variables -> the daemon, until a signal ends it."""

import os
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from relay.cli.failed_start import Start
from relay.cli.flag_types import Address, Network, Whole, site
from relay.cli.options import (
    Flag,
    access_option,
    admin_option,
    admin_token,
    flag,
    listen_option,
    pair_of,
    tls_options,
    token_of,
    was_given,
)
from relay.cli.routes_file import config_option
from relay.cli.store import insecure_option, spool_option, store_option
from relay.model import Secret
from relay.store.open import SqliteUrl, StoreUrl

if TYPE_CHECKING:
    from relay.daemon.settings import Settings

MEBIBYTE = 1024 * 1024


@click.command("run", cls=Start, context_settings={"show_default": True})
@config_option
@store_option
@spool_option("Committed to while PostgreSQL is away, on this machine's disk; with a postgresql store only.")
@listen_option("Where amoCRM posts to.")
@admin_option("Metrics, health, reload, the API; beyond loopback it needs RELAY_ADMIN_TOKEN or --access.")
@access_option("The tokens of people and programs, made by relay access add; watched and loaded again.")
@click.option(
    "--console/--no-console",
    cls=Flag,
    envvar="RELAY_CONSOLE",
    show_envvar=True,
    default=True,
    help="Pages for browsers on the admin listener.",
)
@flag(
    "--admin-url",
    type=site,
    metavar="URL",
    help="Where people reach the admin listener, for links; with https cookies are kept to it.",
)
@flag(
    "--trusted-proxy",
    "trusted_proxies",
    type=Network(),
    multiple=True,
    metavar="CIDR",
    help="Whose X-Forwarded-For and Forwarded are believed; repeatable.",
)
@tls_options("Listen with TLS: certificate and chain, PEM.")
@flag(
    "--max-body",
    type=Whole(1024, 256 * MEBIBYTE, of="bytes"),
    metavar="BYTES",
    default=4 * MEBIBYTE,
    help="A larger webhook is refused with 413.",
)
@click.option("--init", is_flag=True, help="Start with an empty store if the previous one is gone.")
@insecure_option
@flag(
    "--ballast",
    type=Whole(0, of="bytes"),
    metavar="BYTES",
    default=64 * MEBIBYTE,
    help="Disk reserved beside the store, freed when the disk is full; 0 for none.",
)
@flag(
    "--http-client",
    type=click.Choice(["fast", "plain"]),
    default="fast",
    help="plain: deliver by aiohttp's public API alone, slower; always so with an aiohttp that is not known.",
)
@flag(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Format of the log on standard error.",
)
@flag(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="debug also logs each webhook that is stored.",
)
def run(
    config_path: Path,
    store_url: StoreUrl,
    spool: Path,
    listen: Address,
    admin: Address,
    access_file: Path | None,
    console: bool,
    admin_url: str | None,
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    max_body: int,
    init: bool,
    insecure_durability: bool,
    ballast: int,
    http_client: Literal["fast", "plain"],
    log_format: Literal["text", "json"],
    log_level: str,
) -> None:
    """Receive, store and deliver webhooks: the daemon.

    SIGHUP reloads the routes file and the certificate; SIGTERM finishes attempts in flight and exits within 8 s.
    Sockets that systemd passes take the place of --listen and --admin.

    \b
    relay run -c routes.yaml --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    from relay.daemon.settings import Settings
    from relay.http.aiohttp_version import Variant
    from relay.http.forwarded import TrustedProxies
    from relay.http.machine_limits import Limits, raise_files
    from relay.http.systemd import passed

    if isinstance(store_url, SqliteUrl) and was_given("spool"):
        raise click.UsageError("--spool goes with --store postgresql://… only: a sqlite store is on this machine")
    if isinstance(store_url, SqliteUrl) and insecure_durability:
        raise click.UsageError("--insecure-durability goes with --store postgresql://… only")
    tls = pair_of(tls_cert, tls_key)
    files = raise_files()
    token, viewer_token = admin_token(), token_of("RELAY_VIEWER_TOKEN")
    settings = Settings(
        config=config_path,
        store=store_url,
        spool=spool,
        listen=listen,
        admin=admin,
        passed=passed(os.environ, pid=os.getpid()),
        tls=tls,
        files=files,
        limits=Limits.within(files, max_body=max_body),
        admin_token=Secret(token) if token else None,
        viewer_token=Secret(viewer_token) if viewer_token else None,
        access=access_file,
        console=console,
        admin_url=admin_url,
        proxies=TrustedProxies(trusted_proxies),
        max_body=max_body,
        init=init,
        durable=not insecure_durability,
        ballast=ballast,
        http_client=Variant(http_client),
        environment=os.environ,
    )
    sys.exit(_serve(settings, log_format=log_format, log_level=log_level))


def _serve(settings: "Settings", *, log_format: Literal["text", "json"], log_level: str) -> int:
    import uvloop
    from prometheus_client import CollectorRegistry

    from relay.daemon.process import serve
    from relay.observe import LogWriter, Observer, configure_logging, export_process, exporting_spans

    registry = CollectorRegistry()
    export_process(registry)
    lines = LogWriter(sys.stderr)
    observer = Observer(registry, configure_logging(lines, format=log_format, level=log_level))
    with lines.in_background(), exporting_spans(settings.environment, observer, registry) as emit:
        return uvloop.run(serve(settings, emit=emit, registry=registry))
