"""A stream of the private listener -> its documents, from one relay after the other while it is restarted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import aiohttp
import orjson

from relay.cli import NotDone
from relay.cli.flag_types import Address
from relay.cli.options import admin_token
from relay.cli.output import note
from relay.cli.times import zone
from relay.model import Json
from relay.os_errors import os_error_text

NDJSON = "application/x-ndjson"
RECONNECT_EVERY = 1.0  # seconds
UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where it listens everywhere, it does so here


async def follow(admin: Address, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Json]]:
    """Yield each document; NotDone if no relay answers at first, or one refuses.

    A caller that takes its time slows nobody down: the relay drops what it cannot send, and counts it.
    """
    at = admin._replace(host=UNSPECIFIED.get(admin.host, admin.host))
    token = admin_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answered = connected = False
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as session:
        while True:
            try:
                async with session.get(f"http://{at}{path}", params=query) as answer:
                    await _check_answer(answer, at)
                    answered = connected = True
                    note(f"following the relay at {at}, until Ctrl-C; times are {zone(datetime.now(UTC))}")
                    async for line in _lines(answer.content):
                        yield orjson.loads(line)
            except (aiohttp.ClientError, OSError) as error:
                if not answered:
                    why = os_error_text(error) if isinstance(error, OSError) else type(error).__name__
                    raise NotDone(
                        f"no relay answers at {at} ({why}): is it running? name its --admin address"
                    ) from error
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


async def _check_answer(answer: aiohttp.ClientResponse, at: Address) -> None:
    if answer.status == 401:
        raise NotDone(f"the relay at {at} wants its admin token: set RELAY_ADMIN_TOKEN to it")
    if answer.status == 422:
        raise NotDone(f"the relay at {at} has {(await answer.text())[:200].strip()}")
    if answer.status == 404:
        raise NotDone(
            f"{at} has no {answer.url.path}: is it the relay's --admin address, of a relay as new as this one?"
        )
    if answer.status != 200 or answer.content_type != NDJSON:
        text = (await answer.text())[:200].strip().partition("\n")[0]
        raise NotDone(f"{at} answered {answer.status}, {text or 'nothing more'}: is it the relay's --admin address?")
