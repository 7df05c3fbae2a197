"""The installed aiohttp -> whether strangers' requests and targets' answers may be given to it."""

import re

import aiohttp
from aiohttp import http_parser

from relay.errors import Misconfigured

OLDEST_SAFE = (3, 14, 5)  # before it, a target's answer could have the parser read beyond its end (CVE-2026-69244)


def demand_parser(version: str = aiohttp.__version__) -> None:
    """Misconfigured if it is too old, or came without its parser in C: the one in Python is slow and takes more."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers < OLDEST_SAFE:
        oldest = ".".join(map(str, OLDEST_SAFE))
        raise Misconfigured(f"aiohttp {version} has known holes: install {oldest} or newer")
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise Misconfigured(f"aiohttp {version} runs without its C parser: install a binary wheel of it")
