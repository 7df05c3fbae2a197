"""The installed aiohttp -> whether strangers' requests and targets' answers may be given to it."""

import re

import aiohttp
from aiohttp import http_parser

from relay.errors import ConfigurationError

NEWEST_KNOWN = (3, 14)  # relay.http.client stands on what aiohttp promises to nobody
OLDEST_SAFE = (3, 14, 5)  # before it, a target's answer could have the parser read beyond its end (CVE-2026-69244)


def check_aiohttp(version: str = aiohttp.__version__) -> None:
    """ConfigurationError if it is too old or too new, or lacks its C parser: Python's is slow and accepts more."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers < OLDEST_SAFE:
        oldest = ".".join(map(str, OLDEST_SAFE))
        raise ConfigurationError(f"aiohttp {version} has known holes: install {oldest} or newer")
    if numbers[:2] > NEWEST_KNOWN:
        newest = ".".join(map(str, NEWEST_KNOWN))
        raise ConfigurationError(f"aiohttp {version} is newer than this relay knows: install the newest {newest}")
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ConfigurationError(f"aiohttp {version} runs without its C parser: install a binary wheel of it")
