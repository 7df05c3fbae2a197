"""The two HTTP clients behind the sender that delivers, and the one table of where their outcomes differ."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from relay.delivery.send import Sender
from relay.http.client import Client, fast_client, plain_client
from relay.model import Reason

CLIENTS = {"fast": fast_client, "plain": plain_client}

PLAIN: dict[str, Reason] = {
    # aiohttp's own parser rejects these heads, and with them a legible status: the delivery is retried
    "two equal lengths": Reason.PROTOCOL,
    "two lengths": Reason.PROTOCOL,
    "a list of lengths": Reason.PROTOCOL,
    "length of none": Reason.PROTOCOL,
    "negative length": Reason.PROTOCOL,
    "length and chunks": Reason.PROTOCOL,
    "junk line": Reason.PROTOCOL,
    "junk line, LF alone": Reason.PROTOCOL,
    "blank in a name": Reason.PROTOCOL,
    "no name": Reason.PROTOCOL,
    "NUL": Reason.PROTOCOL,
    "not UTF-8": Reason.PROTOCOL,
    # what follows these heads is rejected, and the head with it if both arrive together: see LATER
    "shorter length": Reason.PROTOCOL,
    "bad chunk size": Reason.PROTOCOL,
    "204 with a body": Reason.PROTOCOL,
    "304 with a body": Reason.PROTOCOL,
    # aiohttp reads them without a limit
    "interim responses without end": Reason.TIMEOUT,
}
"""Every response whose outcome is another with the plain client than with the fast one, and which."""

LATER = {"shorter length", "bad chunk size", "204 with a body", "304 with a body"}
"""Of these, those that are delivered if what follows the head arrives in a later packet."""


def outcomes(client: str, kind: str, fast: Reason = Reason.OK, *, at_once: bool = True) -> set[Reason]:
    """What may come of a response of this kind, with this client; `fast` with the fast one."""
    if client == "fast" or kind not in PLAIN:
        return {fast}
    return {PLAIN[kind]} if at_once or kind not in LATER else {PLAIN[kind], fast}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Which of the two."""
    name: str = request.param
    return name


@pytest.fixture
def new_client(client: str) -> Callable[[], Client]:
    return CLIENTS[client]


@pytest.fixture
async def sender(new_client: Callable[[], Client]) -> AsyncIterator[Sender]:
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    yield sender
    await sender.close()


def connections_age_by(clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pools of both clients, and aiohttp's look-ups, tell the time by this clock."""
    for module in ("relay.http.fast_connection", "relay.http.fast_connector", "relay.http.plain_client"):
        monkeypatch.setattr(f"{module}.monotonic", clock)
    monkeypatch.setattr("aiohttp.connector.monotonic", clock)
