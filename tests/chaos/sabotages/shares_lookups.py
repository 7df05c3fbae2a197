"""`relay`, with one promise broken: names are looked up by the loop, with few threads for all."""

import aiohttp

from relay.cli import main
from relay.delivery import connect

if __name__ == "__main__":
    connect._Resolver = aiohttp.ThreadedResolver  # type: ignore[misc, assignment]
    main()
