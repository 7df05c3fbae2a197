"""`relay`, with one promise broken: names are looked up by the loop, with few threads for all."""

from asyncio import get_running_loop
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from unittest.mock import patch

import aiohttp

from relay.cli import main
from relay.http import fast_connector

THREADS = 5
"""Those of a loop's own executor on a machine with one processor; with many of them there would be up to 32."""


@cache
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS)


class LoopsResolver(aiohttp.ThreadedResolver):
    """Have the loop look names up."""

    def __init__(self) -> None:
        get_running_loop().set_default_executor(threads())
        super().__init__()


if __name__ == "__main__":
    patch.object(fast_connector, "Resolver", LoopsResolver).start()
    main()
