"""`relay`, with one promise broken: names are looked up by the loop, with few threads for all."""

from unittest.mock import patch

import aiohttp

from relay.cli import main
from relay.http import fast_connector

if __name__ == "__main__":
    patch.object(fast_connector, "Resolver", aiohttp.ThreadedResolver).start()
    main()
