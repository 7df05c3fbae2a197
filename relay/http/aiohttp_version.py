"""The installed aiohttp -> which client and server run on it: fast ones, or plain ones on its public API alone."""

import re
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
from aiohttp import http_parser

from relay.errors import ConfigurationError

NEWEST_KNOWN = (3, 14)  # the fast halves use what aiohttp promises to nobody, and are tested with this series
OLDEST_SAFE = (3, 14, 5)  # before it, a target's response could have the parser read beyond its end (CVE-2026-69244)


class Variant(StrEnum):
    """One of the two clients, or one of the two servers."""

    FAST = "fast"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """What runs, and the warning to log about it."""

    client: Variant
    server: Variant
    warning: str | None = None


def choose_variants(client: Variant = Variant.FAST, *, version: str | None = None) -> Variants:
    """Choose by the version of aiohttp; `client` is what the operator asked for.

    ConfigurationError if it is too old, of another major version, or lacks its C parser: Python's is slow and accepts
    more.
    """
    version = version or aiohttp.__version__
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers < OLDEST_SAFE:
        raise ConfigurationError(f"aiohttp {version} has known holes: install {_dotted(OLDEST_SAFE)} or newer")
    if numbers[0] > NEWEST_KNOWN[0]:
        newest = _dotted(NEWEST_KNOWN)
        raise ConfigurationError(f"aiohttp {version} is newer than this relay knows: install the newest {newest}")
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ConfigurationError(f"aiohttp {version} runs without its C parser: install a binary wheel of it")
    if numbers[:2] > NEWEST_KNOWN:
        warning = f"aiohttp {version} is newer than {_dotted(NEWEST_KNOWN)}: its plain client and server run, slower"
        return Variants(client=Variant.PLAIN, server=Variant.PLAIN, warning=warning)
    return Variants(client=client, server=Variant.FAST)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
