"""`relay`, with one promise broken: an attempt has no end of its own, as with a client that only times each read."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

from relay.cli import main
from relay.delivery.send import Sender
from relay.model import Outcome

send = Sender.send


async def send_patiently(sender: Sender, request: Any, *, timeout: timedelta, **more: Any) -> Outcome:  # noqa: ASYNC109  the sender's own
    """However long it takes."""
    return await send(sender, request, timeout=1000 * timeout, **more)


if __name__ == "__main__":
    patch.object(Sender, "send", send_patiently).start()
    main()
