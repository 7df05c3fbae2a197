"""`relay`, with one promise broken: webhooks still go by the routes of before for a while after a reload is done."""

from asyncio import get_running_loop
from unittest.mock import patch

from relay.cli import main
from relay.daemon.reloader import Reloader
from relay.signals import Reloaded

LATE = 0.05  # seconds

reload = Reloader._reload


async def reload_late(current: Reloader) -> Reloaded:
    """The new targets at once, the new routes later."""
    before = current.config
    reloaded = await reload(current)
    after, current.config = current.config, before
    get_running_loop().call_later(LATE, setattr, current, "config", after)
    return reloaded


if __name__ == "__main__":
    patch.object(Reloader, "_reload", reload_late).start()
    main()
