"""`relay`, with one promise broken: it stops as aiohttp would, and open connections are cut off."""

from unittest.mock import patch

from relay.cli import main
from relay.http.listener import Listener


async def close_at_once(listener: Listener) -> None:
    """No draining, no last answer."""
    listener.acceptor.stop()
    await listener.runner.cleanup()


if __name__ == "__main__":
    patch.object(Listener, "close", close_at_once).start()
    main()
