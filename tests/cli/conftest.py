"""A folder with a routes file full of secrets, a store with something of everything, and a way to run commands."""

import asyncio
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.amocrm import events, form, sample_bodies
from relay.cli import relay
from relay.model import Dead, Delivered, Delivery, Outcome, Reason, RetryAt, RoutedEvent, Verdict, Webhook
from relay.routes import config
from relay.routes.plan import plan
from relay.store.contract import Archive
from relay.store.sqlite.store import SqliteStore

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ESCAPE = "\x1b[31m"

SECRETS = {
    "CRM_TOKEN": "canary-token-0123456789",
    "DWH_TOKEN": "canary-header-0123456789",
    "DWH_SECRET": "Y2FuYXJ5LXNlY3JldC0wMTIzNDU2Nzg5MDEyMzQ1Njc=",
    "DWH_PATH": "canary-path-0123456789",
}

ROUTES = """\
version: 1
sources:
  crm:
    token: ${CRM_TOKEN}
targets:
  sales-bot:
    url: https://bot.example/amocrm
  warehouse:
    url: https://dwh.example/${DWH_PATH}
    headers: {Authorization: "Bearer ${DWH_TOKEN}"}
    secret: ${DWH_SECRET}
routes:
  - name: offer-made
    match: {entity: leads, action: [status, add], status_id: 16203337}
    to: [sales-bot, warehouse]
  - name: talks-to-us
    match: {entity: leads, action: [call_in, mail_in]}
    to: sales-bot
  - name: everything-else
    otherwise: true
    to: warehouse
tests:
  - name: an offer reaches both
    event: {entity: leads, action: status, data: {id: 1, status_id: 16203337}}
    expect: {targets: [sales-bot, warehouse]}
"""

OFFER, CALL, CONTACT, GARBLED, CYRILLIC = (f"019ab000-000{n}-7000-8000-000000000000" for n in range(1, 6))
"""Ids of the webhooks in the store; their event's id ends in 1."""


def event_of(webhook_id: str) -> str:
    return f"{webhook_id[:-1]}1"


Run = Callable[..., Result]
Use = Callable[[Archive], Awaitable[object]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a routes file, and the variables it needs."""
    (tmp_path / "routes.yaml").write_text(ROUTES)
    monkeypatch.chdir(tmp_path)
    use_zone("UTC", monkeypatch)
    for name in [name for name in os.environ if name.startswith("RELAY_") or name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def use_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process, and those it starts, in a time zone; `folder` takes it back."""
    monkeypatch.setenv("TZ", name)
    time.tzset()


@pytest.fixture
def run(folder: Path) -> Run:
    """`run("list", "--json")`; what is not a click exception surfaces as the test's own error."""

    def invoke(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(relay, arguments, input=stdin, prog_name="relay", catch_exceptions=False)

    return invoke


@pytest.fixture
def kept(folder: Path) -> Path:
    """The store, after some webhooks and attempts."""
    path = folder / "relay.db"
    asyncio.run(_opened(path, fill))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    reason: Reason
    verdict: Verdict
    status: int | None = None
    detail: str = ""


OK = Attempt(reason=Reason.OK, verdict=Delivered(), status=200)
BUSY = Attempt(
    reason=Reason.SERVER_ERROR, verdict=RetryAt(NOON + MINUTE), status=503, detail=f"{ESCAPE}come back later"
)
REFUSED = Attempt(reason=Reason.CLIENT_ERROR, verdict=Dead("400 is in dead_on"), status=400, detail="bad price")


async def fill(store: Archive) -> None:
    offer = await keep(store, OFFER, form.encode(sample_bodies.body("leads.status")))
    await settle(store, offer["sales-bot"], OK)
    await settle(store, offer["warehouse"], BUSY)
    [again] = await store.claim("warehouse", limit=1, max_bytes=1, now=NOON + MINUTE, lease=MINUTE)
    await settle(store, again, REFUSED)
    call = await keep(store, CALL, form.encode(sample_bodies.body("leads.call_in", fields={"id": "77"})))
    await settle(store, call["sales-bot"], BUSY)
    await keep(store, CONTACT, form.encode(sample_bodies.body("contacts.add", fields={"name": f"Анна {ESCAPE}"})))
    await store.keep(unread(GARBLED, f"hello{ESCAPE}".encode(), unparsed=f"no events{ESCAPE}"), [])
    body = form.encode(sample_bodies.body("contacts.add", fields={"name": "@"})).replace(
        b"%40", "Анна".encode("cp1251")
    )
    cyrillic = body.replace("Телефон".encode(), b"tel")
    await store.keep(unread(CYRILLIC, cyrillic, unparsed="not UTF-8: byte 0xc0"), [])


async def keep(store: Archive, id_: str, body: bytes, *, received_at: datetime = NOON) -> dict[str, Delivery]:
    """The webhook with what the routes make of it; its deliveries, claimed, by target."""
    webhook = replace(unread(id_, body), received_at=received_at)
    found = events.read(form.decode(body), source="crm", received_at=webhook.received_at, new_id=lambda: event_of(id_))
    routes = config.load(Path("routes.yaml"), SECRETS)
    routed = [claimed_at_insert(plan(event, routes)) for event in found]
    return {delivery.target: delivery for delivery in await store.keep(webhook, routed)}


def claimed_at_insert(routed: RoutedEvent) -> RoutedEvent:
    """The same, as the daemon keeps it when its lanes have room."""
    return replace(routed, planned=tuple(replace(planned, lease=MINUTE) for planned in routed.planned))


async def settle(store: Archive, delivery: Delivery, attempt: Attempt) -> None:
    outcome = Outcome(
        reason=attempt.reason,
        started_at=NOON,
        took=timedelta(milliseconds=12),
        status=attempt.status,
        detail=attempt.detail,
    )
    assert await store.settle(delivery, outcome, attempt.verdict, now=NOON + MINUTE)


def unread(id_: str, body: bytes, unparsed: str | None = None) -> Webhook:
    return Webhook(
        id=id_,
        source="crm",
        received_at=NOON,
        body=body,
        content_type="application/x-www-form-urlencoded",
        request_id="00000000-0000-4000-8000-00000000000a",
        unparsed=unparsed,
    )


async def _opened(path: Path, use: Use) -> None:
    store = SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None)
    try:
        await use(store)
    finally:
        await store.close()


@pytest.fixture
def refill(folder: Path) -> Callable[[Use], None]:
    """Run something on the store, as its owner."""
    return lambda use: asyncio.run(_opened(folder / "relay.db", use))


LOST = "019ab000-0006-7000-8000-000000000000"


@pytest.fixture
def unrouted(kept: Path, folder: Path, refill: Callable[[Use], None]) -> None:
    """A contact that no route took, for there was none for the rest then."""
    (folder / "routes.yaml").write_text(ROUTES.partition("  - name: everything-else")[0])
    body = form.encode(sample_bodies.body("contacts.add", fields={"id": "78"}))
    refill(lambda store: keep(store, LOST, body))
    (folder / "routes.yaml").write_text(ROUTES)


def on_terminal(*arguments: str, columns: int = 80, until: str | None = None, typed: str = "") -> str:
    """What a command prints on a real terminal so wide, where somebody types ahead.

    One that goes on gets Ctrl-C once it has printed `until`.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "relay", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        text = b""
        try:
            while some := _read(ours):
                text += some
                if until and until.encode() in text:
                    until = None
                    process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            process.kill()  # or a time-out of the test would wait for it
    os.close(ours)
    return text.decode()


def plain(shown: str) -> list[str]:
    """The lines without their colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\r\n")[:-1]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says EIO once nobody holds the other end
        return b""
