"""A stream of the private listener -> its documents, from one relay after the other while it is restarted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import aiohttp
import orjson

from relay.cli import NotDone
from relay.cli.flag_types import Address
from relay.cli.options import admin_token, token_of
from relay.cli.output import note
from relay.cli.remote import refused, said, session_with, unreachable
from relay.cli.times import zone
from relay.model import Json

NDJSON = "application/x-ndjson"
RECONNECT_EVERY = 1.0  # seconds
UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where it listens everywhere, it does so here


async def follow(
    admin: Address, path: str, query: Mapping[str, str] | None = None, *, relay: str | None = None
) -> AsyncIterator[dict[str, Json]]:
    """Yield each document of the listener at `admin`, or of the one with the URL `relay`.

    NotDone if no relay answers at first, or one refuses. A caller that takes its time slows nobody down: the relay
    drops what it cannot send, and counts it.
    """
    here = admin._replace(host=UNSPECIFIED.get(admin.host, admin.host))
    at, url = (relay, relay) if relay else (str(here), f"http://{here}")
    token = token_of("RELAY_TOKEN") if relay else admin_token() or token_of("RELAY_TOKEN")
    variable = "RELAY_TOKEN" if relay else "RELAY_ADMIN_TOKEN"
    answered = connected = False
    async with session_with(url, token) as session:
        while True:
            try:
                async with session.get(f"{url}{path}", params=query, allow_redirects=False) as answer:
                    await _check_answer(answer, at, shown=token is not None, variable=variable)
                    answered = connected = True
                    note(f"following the relay at {at}, until Ctrl-C; times are {zone(datetime.now(UTC))}")
                    async for line in _lines(answer.content):
                        yield orjson.loads(line)
            except (aiohttp.ClientError, OSError) as error:
                if not answered:
                    unreachable(at, error)
            if connected:
                connected = False
                note(f"the relay at {at} has gone; waiting for it")
            await asyncio.sleep(RECONNECT_EVERY)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines that are not empty, however long: aiohttp's own `readline` refuses more than 128 KB."""
    pieces: list[bytes] = []
    async for data in content.iter_any():
        *ended, rest = data.split(b"\n")
        for end in ended:
            if line := b"".join([*pieces, end]).strip():
                yield line
            pieces = []
        pieces.append(rest)


async def _check_answer(answer: aiohttp.ClientResponse, at: str, *, shown: bool, variable: str) -> None:
    if answer.status in (401, 429):
        refused(at, answer.status, (await answer.text())[:200].strip(), shown=shown, variable=variable)
    if answer.status == 403:
        raise NotDone((await answer.text())[:200].strip())
    if answer.status == 422:
        raise NotDone(f"the relay at {at} has {(await answer.text())[:200].strip()}")
    if answer.status == 404:
        raise NotDone(
            f"{at} has no {answer.url.path}: is it the relay's --admin address, of a relay as new as this one?"
        )
    if answer.status != 200 or answer.content_type != NDJSON:
        raise NotDone(f"{at} {said(answer.status, await answer.read())}: is it the relay's --admin address?")
