"""Askers and followers of a relay: `python -m tests.bench.asking` reads what they do from standard input, as JSON.

    {"base": "http://127.0.0.1:8081", "paths": ["/api/v1/status", …], "askers": 10, "every": 1.0, "seconds": 15,
     "follow": "/api/v1/tail", "followers": 64}

An asker asks one path after another, one each `every` seconds, later only if its last answer was later. A follower
reads a stream; the first one never does. Prints JSON: `took`, milliseconds of each answer by path, and `flushes`, how
many a second a follower got. Ends with 1 if an answer was no 2xx.
"""

import asyncio
import json
import sys
from asyncio import StreamReader
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle, islice
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import uvloop


class Asked(NamedTuple):
    """What is read from standard input."""

    base: str
    paths: list[str]
    askers: int
    every: float
    seconds: float
    follow: str
    followers: int


async def main(asked: Asked) -> None:
    """Ask and follow for so long."""
    took: dict[str, list[float]] = defaultdict(list)
    flushes = [0]
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(followed(asked)) for _ in range(asked.followers)]
        following = [asyncio.create_task(read(each, flushes)) for each in readers[1:]]
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for number in range(asked.askers):
                group.create_task(ask(asked, number, session, took))
        for each in following:
            each.cancel()
    print(json.dumps({"took": took, "flushes": flushes[0] / max(1, len(following)) / asked.seconds}))


async def ask(asked: Asked, number: int, session: aiohttp.ClientSession, took: dict[str, list[float]]) -> None:
    """Ask as the asker of this number, which begins at another of the paths than the others."""
    start = perf_counter() + number / asked.askers * asked.every
    first = number * len(asked.paths) // asked.askers
    for nth, path in enumerate(islice(cycle(asked.paths), first, first + round(asked.seconds / asked.every))):
        await asyncio.sleep(start + nth * asked.every - perf_counter())
        begun = perf_counter()
        async with session.get(asked.base + path) as answer:
            text = await answer.text()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]}")
        took[path].append((perf_counter() - begun) * 1e3)


@asynccontextmanager
async def followed(asked: Asked) -> AsyncIterator[StreamReader]:
    """A stream that was begun; little of it is buffered unread."""
    place = urlsplit(asked.base)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=4096)
    try:
        asking = f"GET {asked.follow} HTTP/1.1\r\nhost: {place.netloc}\r\naccept: text/event-stream\r\n\r\n"
        writer.write(asking.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{asked.follow}: {head.decode()}")
        yield reader
    finally:
        writer.close()


async def read(reader: StreamReader, flushes: list[int]) -> None:
    """Read to the end, and count what came at once."""
    while await reader.read(1 << 20):
        flushes[0] += 1


if __name__ == "__main__":
    uvloop.run(main(Asked(**json.load(sys.stdin))))
